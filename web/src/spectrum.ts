/** Power spectra of windows, whose length may be any number with small prime factors. */

/** The Fourier transform by prime factors (Cooley & Tukey 1965). */
export class Spectrum {
  private readonly cos: Float64Array;
  private readonly sin: Float64Array;
  private readonly real: Float64Array;
  private readonly imaginary: Float64Array;
  private readonly bins: Float64Array;

  constructor(private readonly length: number) {
    const angle = (k: number) => (-2 * Math.PI * k) / length;
    this.cos = Float64Array.from({ length }, (_, k) => Math.cos(angle(k)));
    this.sin = Float64Array.from({ length }, (_, k) => Math.sin(angle(k)));
    this.real = new Float64Array(length);
    this.imaginary = new Float64Array(length);
    this.bins = new Float64Array(2 * 64);
  }

  /** Write the squared magnitudes of the bins from 0 to the middle one. */
  power(window: Float64Array, found: Float64Array): void {
    this.transform(window, 0, 1, this.length, 0);
    for (let k = 0; k < found.length; k++) found[k] = this.real[k] ** 2 + this.imaginary[k] ** 2;
  }

  /** Transform every stride-th value from a first one on into `count` bins from a place on. */
  private transform(
    window: Float64Array,
    first: number,
    stride: number,
    count: number,
    place: number,
  ): void {
    const { real, imaginary, bins, length } = this;
    if (count === 1) {
      real[place] = window[first];
      imaginary[place] = 0;
      return;
    }
    const parts = smallestFactor(count);
    const size = count / parts;
    for (let part = 0; part < parts; part++)
      this.transform(window, first + part * stride, stride * parts, size, place + part * size);
    for (let k = 0; k < size; k++) {
      for (let part = 0; part < parts; part++) {
        bins[2 * part] = real[place + part * size + k];
        bins[2 * part + 1] = imaginary[place + part * size + k];
      }
      for (let q = k; q < count; q += size) {
        let re = 0;
        let im = 0;
        for (let part = 0; part < parts; part++) {
          const turn = (part * q * stride) % length;
          re += bins[2 * part] * this.cos[turn] - bins[2 * part + 1] * this.sin[turn];
          im += bins[2 * part] * this.sin[turn] + bins[2 * part + 1] * this.cos[turn];
        }
        real[place + q] = re;
        imaginary[place + q] = im;
      }
    }
  }
}

function smallestFactor(count: number): number {
  for (let factor = 2; factor * factor <= count; factor++) if (count % factor === 0) return factor;
  return count;
}
