/** The model, with everything that belongs to its answers: `ser.models.recognizer` for one clip. */

import * as ort from "onnxruntime-web/wasm";
import { prepareClip } from "./clip";
import { LogMel } from "./log_mel";
import { type About, type ClipAnswer, Problem, type Verdict } from "./types";

const RUNTIME = "onnxruntime.wasm.gzip";
const MODEL = "model.onnx.gzip";

export class Recognizer {
  private readonly features: LogMel;

  private constructor(
    readonly about: About,
    private readonly session: ort.InferenceSession,
  ) {
    this.features = new LogMel(about.features, about.clip.sampling_rate);
  }

  /** Fetch runtime and model from beside the page, and say how much of them has arrived. */
  static async load(progress: (share: number) => void): Promise<Recognizer> {
    const about = (await (await fetched("model.json")).json()) as About;
    const whole = about.files[RUNTIME] + about.files[MODEL];
    let arrived = 0;
    const arriving = (bytes: number) => {
      arrived += bytes;
      progress(Math.min(arrived / whole, 1));
    };
    ort.env.wasm.wasmBinary = await unpacked(RUNTIME, arriving);
    ort.env.wasm.numThreads = 1; // more would need headers that a plain server does not send
    const model = await unpacked(MODEL, arriving);
    try {
      const session = await ort.InferenceSession.create(new Uint8Array(model));
      return new Recognizer(about, session);
    } catch (error) {
      throw new Problem(
        `The model cannot be run in this browser (${reasonOf(error)}). Use a current Firefox, ` +
          "Chrome, Edge or Safari.",
      );
    }
  }

  /** Name the emotion of the clip that is made of a recording at the model's rate. */
  async predict(recording: Float32Array): Promise<ClipAnswer> {
    const clip = prepareClip(recording, this.about.clip);
    const values = this.features.extract(clip.samples);
    const bands = this.about.features.n_mels;
    const input = new ort.Tensor("float32", values, [1, values.length / bands, bands]);
    const found = await this.session.run({ log_mel: input });
    const logits = Array.from(found.logits.data as Float32Array);
    const distance = (found.distance.data as Float32Array)[0];
    const probabilities = this.calibrated(logits, distance);
    const verdict = this.verdict(probabilities);
    return { probabilities, verdict, distance, start: clip.start, end: clip.end };
  }

  verdict(probabilities: number[]): Verdict {
    return Math.max(...probabilities) < this.about.min_confidence ? "uncertain" : "sure";
  }

  /** The softmax of the logits, flatter the farther out of distribution the clip lies. */
  private calibrated(logits: number[], distance: number): number[] {
    const { temperature, ood_exponent } = this.about;
    const divisor = temperature * Math.max(distance, 1) ** ood_exponent;
    const largest = Math.max(...logits);
    const powers = logits.map((logit) => Math.exp((logit - largest) / divisor));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }
}

async function fetched(name: string): Promise<Response> {
  const response = await fetch(name).catch(() => null);
  if (!response?.ok)
    throw new Problem(
      `${name} could not be fetched. Check that it lies beside the page and load the page again.`,
    );
  return response;
}

/** Fetch a file and unpack it, unless the server has made the browser do so. */
async function unpacked(name: string, arriving: (bytes: number) => void): Promise<ArrayBuffer> {
  const response = await fetched(name);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  try {
    const reader = response.body?.getReader();
    for (let part = await reader?.read(); part?.value; part = await reader?.read()) {
      parts.push(part.value);
      arriving(part.value.length);
    }
    const packed = new Blob(parts);
    const start = new Uint8Array(await packed.slice(0, 2).arrayBuffer());
    if (start[0] !== 0x1f || start[1] !== 0x8b) return await packed.arrayBuffer();
    const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
    return await new Response(stream).arrayBuffer();
  } catch (error) {
    throw new Problem(
      `${name} arrived damaged or not whole (${reasonOf(error)}). Load the page again.`,
    );
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
