/** A microphone as it speaks: the last 3 s are asked about three times a second. */

import { NothingHeard, SILENCE_PEAK, speechLevelDbfs } from "./clip";
import type { Recognizer } from "./recognizer";
import { Resampler } from "./resample";
import type { Answer, LiveAnswer } from "./types";

/** Sound between two answers, in seconds. */
const HOP_SECONDS = 1 / 3;
// As `ser.models.streaming` has them.
const SMOOTH_SECONDS = 2;
const PAUSE_DB = 40;
const MUTED_SECONDS = 2;

export class Live {
  private readonly resampler: Resampler;
  private readonly rate: number;
  private readonly longest: number;
  private recent = new Float32Array(0);
  private received = 0;
  private answered = 0;
  private loudest = -Infinity;
  private answers: { end: number; probabilities: number[] }[] = [];

  /** @param rate Hz, of what will be pushed. */
  constructor(
    private readonly recognizer: Recognizer,
    rate: number,
  ) {
    const clip = recognizer.about.clip;
    this.rate = clip.sampling_rate;
    this.longest = clip.samples;
    this.resampler = new Resampler(rate, this.rate);
  }

  /** Take the next pieces of sound; returns an answer if one is due, null otherwise. */
  async push(pieces: Float32Array[]): Promise<LiveAnswer | null> {
    pieces.forEach((piece) => {
      this.take(this.resampler.push(piece));
    });
    if (this.received - this.answered < HOP_SECONDS * this.rate) return null;
    this.answered = this.received;
    return { ...(await this.answer(this.recent)), ...this.signal() };
  }

  private take(sound: Float32Array): void {
    const all = new Float32Array(this.recent.length + sound.length);
    all.set(this.recent);
    all.set(sound, this.recent.length);
    this.recent = all.slice(-this.longest);
    this.received += sound.length;
  }

  private async answer(window: Float32Array): Promise<Answer> {
    const end = this.received;
    const level = speechLevelDbfs(window);
    this.loudest = Math.max(this.loudest, level);
    const quiet = this.recognizer.about.quiet_dbfs ?? -Infinity;
    if (level > Math.max(this.loudest - PAUSE_DB, quiet)) {
      try {
        const { probabilities } = await this.recognizer.predict(window);
        if (probabilities) this.answers.push({ end, probabilities });
      } catch (error) {
        if (!(error instanceof NothingHeard)) throw error;
      }
    }
    this.answers = this.answers.filter((each) => each.end > end - SMOOTH_SECONDS * this.rate);
    const count = this.answers.length;
    if (count === 0) return { probabilities: null, verdict: "no speech" };
    const probabilities = this.recognizer.about.labels.map(
      (_, i) => this.answers.reduce((sum, each) => sum + each.probabilities[i], 0) / count,
    );
    return { probabilities, verdict: this.recognizer.verdict(probabilities) };
  }

  private signal(): { seconds: number; muted: boolean } {
    const last = this.recent.slice(-MUTED_SECONDS * this.rate);
    const whole = last.length === MUTED_SECONDS * this.rate;
    const muted = whole && last.every((x) => Math.abs(x) < SILENCE_PEAK);
    return { seconds: this.received / this.rate, muted };
  }
}
