/** What an answer looks like. */

import type { About, Answer } from "./types";

const bar = new Map<string, { row: HTMLElement; fill: HTMLElement; share: HTMLElement }>();

/** Return an element of the page. */
export function part(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no ${id}.`);
  return found;
}

/** Make a bar for every label. */
export function drawBars(about: About): void {
  const list = part("bars");
  list.replaceChildren();
  for (const label of about.labels) {
    const row = made("li", list);
    made("span", row, "label").textContent = label;
    const fill = made("span", made("span", row, "track"), "fill");
    fill.style.background = about.colors[label] ?? "";
    const share = made("span", row, "share");
    bar.set(label, { row, fill, share });
  }
}

/** Show an answer, or with none that nothing was asked yet. */
export function show(about: About, answer: Answer | null): void {
  part("bars").classList.toggle("pale", answer?.verdict !== "sure");
  const likeliest = Math.max(...(answer?.probabilities ?? [1]));
  about.labels.forEach((label, i) => {
    const value = answer?.probabilities?.[i] ?? 0;
    const found = bar.get(label);
    if (!found) return;
    found.fill.style.width = `${100 * value}%`;
    found.share.textContent = answer ? percent(value) : "–";
    found.row.classList.toggle("likeliest", value === likeliest);
  });
}

/** Return an answer in a few words, as the app says it. */
export function headline(about: About, answer: Answer): string {
  if (!answer.probabilities) return "Nobody speaks here";
  const best = Math.max(...answer.probabilities);
  const label = about.labels[answer.probabilities.indexOf(best)];
  if (answer.verdict === "sure")
    return `${label[0].toUpperCase()}${label.slice(1)}, ${percent(best)}`;
  return `Not sure. Closest: ${label}, ${percent(best)}`;
}

/** Say how good the model is, and where it comes from. */
export function describe(about: About): void {
  part("model").textContent = about.name;
  const { strangers, labels } = about;
  part("strangers").textContent = strangers
    ? `People it has never heard, elsewhere: ${percent(strangers.accuracy)} right ` +
      `(${strangers.clips} clips, ${strangers.report}); guessing: ${percent(1 / labels.length, 1)}.`
    : "No published report says how good it is with people it has never heard.";
  const list = part("sources");
  list.replaceChildren();
  for (const source of about.sources)
    made("li", list).textContent = `${source.what}: ${source.licence}. ${source.where}`;
}

export function percent(value: number, digits = 0): string {
  return `${(100 * value).toFixed(digits)}%`;
}

function made(kind: string, parent: HTMLElement, name = ""): HTMLElement {
  const element = document.createElement(kind);
  if (name) element.className = name;
  parent.append(element);
  return element;
}
