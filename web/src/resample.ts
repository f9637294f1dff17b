/** Any sampling rate becomes another one, piece by piece and without a seam. */

// What soxr does at the quality that Python uses: flat up to so much of the lower of both Nyquist
// frequencies, and nothing beyond that frequency, by so many decibels.
const PASSBAND = 0.9136;
const STOPBAND_DB = 130;

/** Filters by a windowed sinc (Kaiser 1974, *Nonrecursive digital filter design*). */
export class Resampler {
  private readonly up: number;
  private readonly down: number;
  /** Samples on both sides of a moment that it is made of. */
  private readonly half: number;
  /** One filter for every place that a moment can have between two samples. */
  private readonly filters: Float32Array[];
  private kept: Float32Array;
  /** Number of the first sample that is kept; those before the first one are zeros. */
  private first: number;
  private received = 0;
  private made = 0;

  /** @param from Hz. @param to Hz. */
  constructor(
    from: number,
    to: number,
  ) {
    const common = divisor(from, to);
    this.up = to / common;
    this.down = from / common;
    const nyquist = Math.min(from, to) / 2 / from; // in cycles per sample
    const beta = 0.1102 * (STOPBAND_DB - 8.7);
    const length = (STOPBAND_DB - 7.95) / (2.285 * 2 * Math.PI * (1 - PASSBAND) * nyquist);
    this.half = Math.ceil(length / 2);
    const cutoff = (1 + PASSBAND) * nyquist; // twice that of its middle
    this.filters = Array.from({ length: this.up }, (_, phase) =>
      Float32Array.from({ length: 2 * this.half }, (_, tap) => {
        const away = tap - this.half + 1 - phase / this.up;
        const place = away / (length / 2);
        if (Math.abs(place) >= 1) return 0;
        const window = bessel(beta * Math.sqrt(1 - place * place)) / bessel(beta);
        return cutoff * sinc(cutoff * away) * window;
      }),
    );
    this.kept = new Float32Array(this.half);
    this.first = -this.half;
  }

  /** Take the next samples, and return those that can be made now. */
  push(samples: Float32Array): Float32Array {
    if (this.up === this.down) return samples;
    this.received += samples.length;
    return this.make(samples, Math.ceil(((this.received - this.half) * this.up) / this.down));
  }

  /** Return what is left at the end. */
  flush(): Float32Array {
    if (this.up === this.down) return new Float32Array(0);
    const count = Math.round((this.received * this.up) / this.down);
    return this.make(new Float32Array(this.half + 1), count);
  }

  /** Make samples until there are so many, of what is kept and more. */
  private make(more: Float32Array, count: number): Float32Array {
    const sound = new Float32Array(this.kept.length + more.length);
    sound.set(this.kept);
    sound.set(more, this.kept.length);
    const found = new Float32Array(Math.max(count - this.made, 0));
    for (let i = 0; i < found.length; i++, this.made++) {
      const moment = this.made * this.down;
      const begin = Math.floor(moment / this.up) - this.half + 1 - this.first;
      const filter = this.filters[moment % this.up];
      let sum = 0;
      for (let tap = 0; tap < filter.length; tap++) sum += filter[tap] * sound[begin + tap];
      found[i] = sum;
    }
    const needed = Math.floor((this.made * this.down) / this.up) - this.half + 1;
    const over = Math.min(Math.max(needed - this.first, 0), sound.length);
    this.kept = sound.slice(over);
    this.first += over;
    return found;
  }
}

/** Return a whole recording at another rate. */
export function resample(samples: Float32Array, from: number, to: number): Float32Array {
  const resampler = new Resampler(from, to);
  const most = resampler.push(samples);
  const rest = resampler.flush();
  const all = new Float32Array(most.length + rest.length);
  all.set(most);
  all.set(rest, most.length);
  return all;
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Modified Bessel function of the first kind and order 0, by its series. */
function bessel(x: number): number {
  let sum = 1;
  for (let k = 1, term = 1; term > 1e-12 * sum; k++) {
    term *= (x / 2 / k) ** 2;
    sum += term;
  }
  return sum;
}
