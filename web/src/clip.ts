/** A recording becomes a clip, with the numbers of `ser.audio.clip`. */

import { type ClipFormat, Problem } from "./types";

/** Peak below which a recording counts as silent. */
export const SILENCE_PEAK = 2 ** -15;
/** Shortest recording, in seconds. */
const MIN_SECONDS = 0.1;
const FRAME = 2048;
const HOP = 512;

/** A recording that is too short or silent. */
export class NothingHeard extends Problem {}

export interface Clip {
  samples: Float32Array;
  /** Seconds in the recording. */
  start: number;
  end: number;
}

/** Trim silence at both ends, bring speech to one level, and make it exactly one clip long. */
export function prepareClip(recording: Float32Array, format: ClipFormat): Clip {
  const rate = format.sampling_rate;
  if (recording.length < MIN_SECONDS * rate)
    throw new NothingHeard("The recording is too short: record a whole sentence.");
  let [start, end] = findSpeech(recording, format.trim_db);
  if (end - start > format.samples) {
    start = loudestWindow(recording, start, end, format.samples);
    end = start + format.samples;
  }
  const speech = toLevel(recording.subarray(start, end), format.level_dbfs);
  const samples = new Float32Array(format.samples);
  samples.set(speech, Math.floor((format.samples - speech.length) / 2));
  return { samples, start: start / rate, end: end / rate };
}

/** Return the RMS level without offset, which pauses have as well, in dBFS; -120 of silence. */
export function speechLevelDbfs(samples: Float32Array): number {
  const offset = samples.length ? mean(samples) : 0;
  if (samples.every((x) => Math.abs(x - offset) < SILENCE_PEAK)) return -120;
  const power = samples.reduce((sum, x) => sum + (x - offset) ** 2, 0) / samples.length;
  return 10 * Math.log10(Math.max(power, 1e-12));
}

function findSpeech(recording: Float32Array, trimDb: number): [number, number] {
  const offset = mean(recording);
  const centred = recording.map((x) => x - offset);
  const peak = centred.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  if (peak < SILENCE_PEAK)
    throw new NothingHeard(
      "The recording is silent: check that the microphone is on and not muted, and record again.",
    );
  const count = 1 + Math.floor(recording.length / HOP);
  const levels = Array.from({ length: count }, (_, i) => {
    const begin = i * HOP - FRAME / 2;
    const frame = centred.subarray(Math.max(begin, 0), Math.max(begin + FRAME, 0));
    const power = frame.reduce((sum, x) => sum + (x / peak) ** 2, 0) / FRAME;
    return 10 * Math.log10(Math.max(power, 1e-10));
  });
  const least = levels.reduce((most, x) => Math.max(most, x)) - trimDb;
  const first = levels.findIndex((level) => level > least);
  const last = levels.findLastIndex((level) => level > least);
  return [first * HOP, Math.min((last + 1) * HOP, recording.length)];
}

function loudestWindow(sound: Float32Array, start: number, end: number, length: number): number {
  let energy = 0;
  for (let i = start; i < start + length; i++) energy += sound[i] ** 2;
  let [most, place] = [energy, start];
  for (let i = start; i + length < end; i++) {
    energy += sound[i + length] ** 2 - sound[i] ** 2;
    if (energy > most) [most, place] = [energy, i + 1];
  }
  return place;
}

function toLevel(speech: Float32Array, dbfs: number): Float32Array {
  const offset = mean(speech);
  const power = speech.reduce((sum, x) => sum + (x - offset) ** 2, 0) / speech.length;
  const gain = 10 ** (dbfs / 20) / Math.max(Math.sqrt(power), 1e-12);
  return speech.map((x) => (x - offset) * gain);
}

function mean(samples: Float32Array): number {
  return samples.reduce((sum, x) => sum + x, 0) / samples.length;
}
