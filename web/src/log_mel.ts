/** The log-mel spectrogram that the encoder reads, with the numbers of `ser.audio.log_mel`. */

import { Spectrum } from "./spectrum";
import type { LogMelFormat } from "./types";

export class LogMel {
  private readonly spectrum: Spectrum;
  private readonly hann: Float64Array;
  private readonly filters: Float32Array[];

  constructor(
    private readonly format: LogMelFormat,
    rate: number,
  ) {
    const length = format.n_fft;
    this.spectrum = new Spectrum(length);
    this.hann = Float64Array.from(
      { length },
      (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / length),
    );
    this.filters = melFilters(format.n_mels, length, rate);
  }

  /** Return the values of one clip, frame after frame. */
  extract(clip: Float32Array): Float32Array {
    const { n_fft, hop_length, n_mels } = this.format;
    const frames = Math.floor(clip.length / hop_length);
    const window = new Float64Array(n_fft);
    const power = new Float64Array(n_fft / 2 + 1);
    const found = new Float32Array(frames * n_mels);
    let largest = -Infinity;
    for (let frame = 0; frame < frames; frame++) {
      const begin = frame * hop_length - n_fft / 2;
      for (let n = 0; n < n_fft; n++)
        window[n] = clip[mirrored(begin + n, clip.length)] * this.hann[n];
      this.spectrum.power(window, power);
      this.filters.forEach((filter, band) => {
        let sum = 0;
        for (let k = 0; k < filter.length; k++) sum += filter[k] * power[k];
        const value = Math.log10(Math.max(sum, 1e-10));
        largest = Math.max(largest, value);
        found[frame * n_mels + band] = value;
      });
    }
    return found.map((value) => (Math.max(value, largest - 8) + 4) / 4);
  }
}

/** Return the place that a place before or behind the clip stands for. */
function mirrored(place: number, length: number): number {
  if (place < 0) return -place;
  return place < length ? place : 2 * (length - 1) - place;
}

/** Slaney's triangular filters of equal area, see `ser.audio.spectra.mel_filters`. */
function melFilters(bands: number, length: number, rate: number): Float32Array[] {
  const step = Math.log(6.4) / 27;
  const top = 15 + Math.log(rate / 2 / 1000) / step;
  const edges = Array.from({ length: bands + 2 }, (_, i) => {
    const mels = (top * i) / (bands + 1);
    return mels < 15 ? (mels * 200) / 3 : 1000 * Math.exp(step * (mels - 15));
  });
  return Array.from({ length: bands }, (_, band) => {
    const [low, middle, high] = edges.slice(band, band + 3);
    return Float32Array.from({ length: length / 2 + 1 }, (_, k) => {
      const hertz = (k * rate) / length;
      const rising = (hertz - low) / (middle - low);
      const falling = (high - hertz) / (high - middle);
      return (Math.max(0, Math.min(rising, falling)) * 2) / (high - low);
    });
  });
}
