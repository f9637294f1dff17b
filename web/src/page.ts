/** The page: buttons, and what is said when. */

import { decode, type Microphone, openMicrophone, prepareMicrophone } from "./sound";
import {
  type About,
  type Answer,
  type ClipAnswer,
  type LiveAnswer,
  Problem,
  type Reply,
  type Request,
} from "./types";
import { describe, drawBars, headline, part, percent, show } from "./view";

/** A screen reader is told a changed answer at most so often, in milliseconds. */
const SPOKEN_EVERY = 3000;
/** After so long without any sound from the microphone something is wrong, in milliseconds. */
const SOUND_WITHIN = 4000;

const start = part("start") as HTMLButtonElement;
const stop = part("stop") as HTMLButtonElement;
const open = part("open") as HTMLButtonElement;
const file = part("file") as HTMLInputElement;

let about: About | null = null;
let worker: Worker | null = null;
let context: AudioContext | null = null;
let noContext: unknown = null; // why there is none
let microphone: Microphone | null = null;
let heard: Float32Array[] = []; // by the microphone, and not yet handed on
let listening = false; // the worker, to what was handed on
let arrived = 0; // when sound came last, in milliseconds
let watch = 0; // timer that looks whether any still comes
let silent = false; // whether it was said that none does
let spokenAt = -Infinity;
let asked = 0;
const waiting = new Map<
  number,
  { resolve: (answer: ClipAnswer) => void; reject: (problem: Problem) => void }
>();

function ask(request: Request): void {
  worker?.postMessage(request);
}

/** Hand on all that was heard meanwhile: a slow machine skips answers, not seconds. */
function handOn(): void {
  if (!microphone || listening || heard.length === 0) return;
  listening = true;
  ask({ kind: "sound", pieces: heard });
  heard = [];
}

/** Say how things stand; the headline is the answer, what is below it explains. */
function say(words: string, below = ""): void {
  part("headline").textContent = words;
  part("below").textContent = below;
}

/** Say it to a screen reader as well: what stands now, as soon as it was quiet long enough. */
function speak(words: string): void {
  const spoken = part("spoken");
  const now = performance.now();
  if (spoken.textContent === words || now - spokenAt < SPOKEN_EVERY) return;
  spoken.textContent = words;
  spokenAt = now;
}

function fail(error: unknown): void {
  const known = error instanceof Problem;
  const words = known ? error.message : `Something failed (${String(error)}). Load the page again.`;
  const problem = part("problem");
  problem.textContent = words;
  problem.hidden = false;
}

function forgetProblem(): void {
  part("problem").hidden = true;
}

function showAnswer(answer: Answer, below: string, muted = false): void {
  if (!about) return;
  const words = headline(about, answer);
  say(words, below);
  show(about, answer);
  speak(muted ? below : words.replace(/,? [0-9]+%$/, ""));
}

function showLive(answer: LiveAnswer): void {
  const below = answer.muted
    ? "Nothing but digital silence arrives: is the microphone muted?"
    : `${Math.floor(answer.seconds)} s heard; the answer is about the last 3.`;
  showAnswer(answer, below, answer.muted);
}

function take(reply: Reply): void {
  if (reply.kind === "progress") {
    part("progress").setAttribute("value", String(reply.share));
    say(`Loading the model: ${percent(reply.share)}`);
  } else if (reply.kind === "ready") {
    ready(reply.about);
  } else if (reply.kind === "answer") {
    waiting.get(reply.id)?.resolve(reply.answer);
  } else if (reply.kind === "live") {
    listening = false;
    handOn();
    if (microphone && reply.answer) showLive(reply.answer);
  } else {
    const problem = new Problem(reply.sentence);
    const one = reply.id === undefined ? undefined : waiting.get(reply.id);
    if (one) one.reject(problem);
    else broken(problem);
  }
}

function broken(error: unknown): void {
  stopListening();
  part("progress").hidden = true;
  start.disabled = open.disabled = true;
  say("The model is not here");
  fail(error);
}

function ready(found: About): void {
  about = found;
  drawBars(found);
  show(found, null);
  describe(found);
  part("progress").hidden = true;
  start.disabled = open.disabled = false;
  say("Say a sentence", "Three seconds are best, said the way you want it to sound.");
  document.body.dataset.state = "ready";
}

async function listen(): Promise<void> {
  forgetProblem();
  if (!context) throw new Problem(whyNoContext());
  start.disabled = open.disabled = true;
  try {
    microphone = await openMicrophone(
      context,
      (samples) => {
        arrived = performance.now();
        heard.push(samples);
        handOn();
      },
      () => {
        stopListening();
        fail(new Problem("The microphone has gone: connect it again and press Start."));
      },
    );
  } finally {
    start.disabled = open.disabled = false;
  }
  ask({ kind: "start", rate: microphone.rate });
  say("Listening", "Speak; the answer comes with the first sound.");
  arrived = performance.now();
  watch = setInterval(watchSound, 500);
  start.hidden = true;
  stop.hidden = false;
  stop.focus();
}

/** Say that no sound comes, in place of an answer that nobody is heard to give; or that it does. */
function watchSound(): void {
  const missing = performance.now() - arrived > SOUND_WITHIN;
  if (missing && !silent) {
    fail(new Problem("No sound arrives: press Stop, check microphone and loudspeaker, and start."));
    say("No sound");
    if (about) show(about, null);
  }
  if (!missing && silent) forgetProblem();
  silent = missing;
}

function whyNoContext(): string {
  if (!isSecureContext)
    return "This page may not use the microphone here: open it by https or on localhost.";
  return noContext instanceof DOMException && noContext.name === "AbortError"
    ? "microphone.js cannot be fetched: check that it lies beside the page."
    : "This browser cannot hand on what a microphone hears: use a current one.";
}

function stopListening(): void {
  if (!microphone) return;
  clearInterval(watch);
  if (silent) forgetProblem();
  silent = false;
  microphone.stop();
  microphone = null;
  heard = [];
  part("below").textContent = "Stopped. What was heard is forgotten; nothing was kept.";
  stop.hidden = true;
  start.hidden = false;
  start.focus();
}

/** Answer for one recording, given as the content of its file. */
async function predict(data: ArrayBuffer): Promise<ClipAnswer> {
  const { samples, rate } = await decode(data);
  const id = asked++;
  try {
    return await new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      ask({ kind: "predict", id, samples, rate });
    });
  } finally {
    waiting.delete(id);
  }
}

async function openRecording(): Promise<void> {
  const [chosen] = file.files ?? [];
  file.value = ""; // so that the same one can be chosen again
  if (!(chosen as File | undefined)) return;
  forgetProblem();
  stopListening();
  say("Listening …", chosen.name);
  part("spoken").textContent = ""; // the same answer about another recording is news
  spokenAt = -Infinity;
  start.disabled = open.disabled = true;
  try {
    const answer = await predict(await chosen.arrayBuffer());
    const span = `${answer.start.toFixed(1)} to ${answer.end.toFixed(1)} s`;
    showAnswer(answer, `${chosen.name}, ${span}: the part that holds most of its energy.`);
  } catch (error) {
    say("No answer", chosen.name);
    if (about) show(about, null);
    throw error;
  } finally {
    start.disabled = open.disabled = false;
  }
}

/** Load what is needed, and look whether the browser can run it. */
async function load(): Promise<void> {
  if (location.protocol === "file:")
    throw new Problem(
      "Browsers run this page from a server only: start python -m http.server in its folder and " +
        "open localhost:8000.",
    );
  if (typeof WebAssembly !== "object" || typeof DecompressionStream !== "function")
    throw new Problem(
      "This browser is too old for this page: use a current Firefox, Chrome, Edge or Safari.",
    );
  worker = new Worker("listener.js", { type: "module" });
  worker.onmessage = (event: MessageEvent<Reply>) => {
    take(event.data);
  };
  worker.onerror = () => {
    broken(new Problem("listener.js cannot be run: check that it lies beside the page."));
  };
  ask({ kind: "load" });
  // Where there is no microphone, recordings can be opened all the same.
  context = await prepareMicrophone().catch((error: unknown) => {
    noContext = error;
    return null;
  });
}

start.addEventListener("click", () => {
  listen().catch(fail);
});
stop.addEventListener("click", stopListening);
open.addEventListener("click", () => {
  file.click();
});
file.addEventListener("change", () => {
  openRecording().catch(fail);
});
document.addEventListener("visibilitychange", () => {
  // A phone that was locked, or a call, has stopped it.
  if (microphone && !document.hidden) void context?.resume();
});
load().catch(broken);

/** For tests, and for whoever builds on the page. */
Object.assign(window, { ser: { predict } });
