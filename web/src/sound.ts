/** What the browser itself does with sound: files are decoded, the microphone is opened. */

import { Problem } from "./types";

/** Where the rate of a recording is not read from it; Opus has no other, and films hardly. */
const USUAL_RATE = 48_000;
const MAX_BYTES = 400_000_000;
const MAX_SECONDS = 1800;

export interface Sound {
  /** Mono, in [-1, 1]. */
  samples: Float32Array;
  /** Hz. */
  rate: number;
}

/** Decode a recording of any format that the browser knows; channels are averaged. */
export async function decode(data: ArrayBuffer): Promise<Sound> {
  if (data.byteLength === 0) throw new Problem("The file is empty: record or export it again.");
  if (data.byteLength > MAX_BYTES) throw new Problem("The file has more than 400 MB: cut it.");
  // A browser decodes to the rate of its context, and resamples less exactly than we do.
  const rate = rateOf(new DataView(data)) ?? USUAL_RATE;
  let sound: AudioBuffer;
  try {
    sound = await new OfflineAudioContext(1, 1, rate).decodeAudioData(data);
  } catch {
    throw new Problem(
      "This browser cannot decode the file: give a recording as WAV, MP3, FLAC, M4A or Opus.",
    );
  }
  if (sound.duration > MAX_SECONDS)
    throw new Problem("The recording lasts more than 30 minutes: cut it.");
  const samples = new Float32Array(sound.length);
  for (let c = 0; c < sound.numberOfChannels; c++)
    sound.getChannelData(c).forEach((x, i) => (samples[i] += x / sound.numberOfChannels));
  if (!samples.every(Number.isFinite))
    throw new Problem("The recording holds samples that are not numbers: export it again.");
  return { samples, rate };
}

/** Return the sampling rate that a WAV or FLAC file names, if it is one that can be used. */
function rateOf(data: DataView): number | null {
  const word = (place: number) =>
    place + 4 <= data.byteLength ? data.getUint32(place) : 0; // four letters
  let rate = 0;
  if (word(0) === 0x664c6143 && data.byteLength > 22) rate = data.getUint32(18) >>> 12; // fLaC
  if (word(0) === 0x52494646 && word(8) === 0x57415645) {
    // RIFF, WAVE
    let place = 12;
    while (place + 16 <= data.byteLength && word(place) !== 0x666d7420) {
      const size = data.getUint32(place + 4, true);
      place += 8 + size + (size % 2);
    }
    if (place + 16 <= data.byteLength) rate = data.getUint32(place + 12, true);
  }
  // Those that are common, or else the filters would be too many.
  return rate >= 8000 && rate <= 192_000 && (rate % 1000 === 0 || rate % 11_025 === 0)
    ? rate
    : null;
}

export interface Microphone {
  rate: number;
  stop: () => void;
}

/** The part of a microphone that must be fetched, so that it starts offline as well. */
export async function prepareMicrophone(): Promise<AudioContext> {
  const context = new AudioContext();
  await context.audioWorklet.addModule("microphone.js");
  return context;
}

/** Open the microphone, without what browsers do to please ears. */
export async function openMicrophone(
  context: AudioContext,
  heard: (samples: Float32Array) => void,
  lost: () => void,
): Promise<Microphone> {
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
  } catch (error) {
    throw new Problem(whyClosed(error));
  }
  // Not waited for: where nothing can play sound, it may never come, and the page says so.
  void context.resume();
  const source = context.createMediaStreamSource(stream);
  const node = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 0 });
  node.port.onmessage = (event: MessageEvent<Float32Array>) => {
    heard(event.data);
  };
  source.connect(node);
  const [track] = stream.getAudioTracks();
  track.onended = lost;
  return {
    rate: context.sampleRate,
    stop: () => {
      track.onended = null;
      node.port.onmessage = null;
      source.disconnect();
      stream.getTracks().forEach((each) => {
        each.stop();
      });
      void context.suspend();
    },
  };
}

function whyClosed(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError")
    return "The microphone was not allowed: allow it in the browser's settings for this page.";
  if (name === "NotFoundError") return "No microphone was found: connect one and try again.";
  return "The microphone cannot be opened: close other programs that use it and try again.";
}
