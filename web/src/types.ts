/** What page and listener say to each other, and what `model.json` holds. */

/** `model.json`, as `ser export MODEL --to web` writes it. */
export interface About {
  name: string;
  /** Bytes of what must be fetched, by file name. */
  files: Record<string, number>;
  labels: string[];
  colors: Record<string, string>;
  temperature: number;
  /** Power of the distance by which an answer becomes less sure out of distribution. */
  ood_exponent: number;
  /** Below so many dBFS the model hears its room alone; null if it does not know that. */
  quiet_dbfs: number | null;
  /** Least probability of a sure answer. */
  min_confidence: number;
  clip: ClipFormat;
  features: LogMelFormat;
  /** How it does with people it has never heard, if a published report says so. */
  strangers: { accuracy: number; clips: number; report: string } | null;
  sources: { what: string; licence: string; where: string }[];
}

export interface ClipFormat {
  /** Hz. */
  sampling_rate: number;
  samples: number;
  /** Silence at both ends lies so many dB below the loudest frame. */
  trim_db: number;
  /** RMS that every clip is brought to. */
  level_dbfs: number;
}

/** In samples of the clip, and bands. */
export interface LogMelFormat {
  n_fft: number;
  hop_length: number;
  n_mels: number;
}

export type Verdict = "sure" | "uncertain" | "no speech";

export interface Answer {
  /** In the order of the labels; null where nobody speaks. */
  probabilities: number[] | null;
  verdict: Verdict;
}

/** An answer for one clip, and where it lies in its recording, in seconds. */
export interface ClipAnswer extends Answer {
  start: number;
  end: number;
  /** Out of distribution beyond 1. */
  distance: number;
}

/** What a microphone sends at this moment, and the answer to it. */
export interface LiveAnswer extends Answer {
  /** Sound received so far. */
  seconds: number;
  /** Whether the last 2 s were digital silence. */
  muted: boolean;
}

export type Request =
  | { kind: "load" }
  | { kind: "predict"; id: number; samples: Float32Array; rate: number }
  | { kind: "start"; rate: number }
  /** What the microphone has heard since; answered by `live` before more is sent. */
  | { kind: "sound"; pieces: Float32Array[] };

export type Reply =
  | { kind: "progress"; share: number }
  | { kind: "ready"; about: About }
  | { kind: "answer"; id: number; answer: ClipAnswer }
  | { kind: "live"; answer: LiveAnswer | null }
  /** Without an id nothing works any more. */
  | { kind: "problem"; id?: number; sentence: string };

/** What is wrong, as one sentence that says what to do. */
export class Problem extends Error {}
