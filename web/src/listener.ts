/** A worker that holds the model, so that the page never stands still. */

import { Live } from "./live";
import { Recognizer } from "./recognizer";
import { resample } from "./resample";
import { Problem, type Reply, type Request } from "./types";

let recognizer: Recognizer | null = null;
let live: Live | null = null;

function reply(message: Reply): void {
  postMessage(message);
}

async function handle(request: Request): Promise<void> {
  if (request.kind === "load") {
    recognizer = await Recognizer.load((share) => {
      reply({ kind: "progress", share });
    });
    reply({ kind: "ready", about: recognizer.about });
  } else if (recognizer && request.kind === "predict") {
    const rate = recognizer.about.clip.sampling_rate;
    const recording = resample(request.samples, request.rate, rate);
    reply({ kind: "answer", id: request.id, answer: await recognizer.predict(recording) });
  } else if (recognizer && request.kind === "start") {
    live = new Live(recognizer, request.rate);
  } else if (request.kind === "sound") {
    reply({ kind: "live", answer: (await live?.push(request.pieces)) ?? null });
  }
}

self.onmessage = (event: MessageEvent<Request>) => {
  handle(event.data).catch((error: unknown) => {
    const id = event.data.kind === "predict" ? event.data.id : undefined;
    const sentence =
      error instanceof Problem
        ? error.message
        : `The model failed (${String(error)}). Load the page again.`;
    reply({ kind: "problem", id, sentence });
  });
};
