// A recording to play and to look at: waveform, spectrogram, pitch and intensity on one time axis,
// with one cursor. Drag to select a part, play or enlarge it.

const LEFT = 46, RIGHT = 44, WAVE = 100, GAP = 10, SPECTROGRAM = 220, AXIS = 24;
const HEIGHT = WAVE + GAP + SPECTROGRAM + AXIS;
const TOP = WAVE + GAP; // of the spectrogram
const HEARD = "#4a7fd4", UNHEARD = "#9aa4b2";
const PITCH_HZ = [0, 600], INTENSITY_DB = [-80, 0];
const SHORTEST = 0.05; // s; of what is shown

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const rgb = (colour) => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d");
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  return pen.getImageData(0, 0, 1, 1).data.slice(0, 3);
};
const seconds = (t) => `${t.toFixed(2)} s`;

// The samples as a WAV file, which every browser plays.
function wav(pcm, rate) {
  const header = new DataView(new ArrayBuffer(44));
  const put = (at, text) => [...text].forEach((c, i) => header.setUint8(at + i, c.charCodeAt(0)));
  put(0, "RIFF"); header.setUint32(4, 36 + pcm.byteLength, true); put(8, "WAVEfmt ");
  header.setUint32(16, 16, true); header.setUint16(20, 1, true); header.setUint16(22, 1, true);
  header.setUint32(24, rate, true); header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true); header.setUint16(34, 16, true);
  put(36, "data"); header.setUint32(40, pcm.byteLength, true);
  return new Blob([header, pcm], { type: "audio/wav" });
}

// The spectrogram as an image of one pixel per cell: from the paper's colour to the ink's.
function image(cells, rows, frames, ink) {
  const canvas = new OffscreenCanvas(frames, rows);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(frames, rows);
  for (let row = 0; row < rows; row++) {
    for (let frame = 0; frame < frames; frame++) {
      const at = 4 * ((rows - 1 - row) * frames + frame);
      pixels.data.set([...ink, cells[row * frames + frame]], at);
    }
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function build(root, data) {
  const find = (name) => root.querySelector(`.${name}`);
  const pcm = bytes(data.samples);
  const samples = new Int16Array(pcm.buffer);
  const cells = bytes(data.spectrogram);
  const length = samples.length / data.rate;
  const [base, above] = [find("base"), find("above")];
  const url = URL.createObjectURL(wav(pcm, data.rate));
  const audio = new Audio(url);
  let shown = [0, length], selected = null, cursor = 0, stopAt = null, dragging = null;
  let frame = 0, width = 0, picture = null, pictureInk = "";

  const x = (t) => LEFT + ((t - shown[0]) / (shown[1] - shown[0])) * (width - LEFT - RIGHT);
  const time = (px) => clamp(
    shown[0] + ((px - LEFT) / (width - LEFT - RIGHT)) * (shown[1] - shown[0]), 0, length);
  const colour = (name) => getComputedStyle(base).getPropertyValue(name).trim();

  function context(canvas) {
    const scale = window.devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = HEIGHT * scale;
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    context.font = "12px " + (colour("--st-font") || "sans-serif");
    return context;
  }

  function drawWave(pen) {
    const middle = WAVE / 2, peak = data.peak * 32768;
    for (let px = LEFT; px < width - RIGHT; px++) {
      const first = Math.floor(time(px) * data.rate);
      const last = Math.max(Math.floor(time(px + 1) * data.rate), first + 1);
      let low = 0, high = 0;
      for (let i = first; i < last && i < samples.length; i++) {
        low = Math.min(low, samples[i]); high = Math.max(high, samples[i]);
      }
      const t = time(px);
      pen.fillStyle = t >= data.heard[0] && t <= data.heard[1] ? HEARD : UNHEARD;
      const top = middle - (high / peak) * middle, bottom = middle - (low / peak) * middle;
      pen.fillRect(px, top, 1, Math.max(bottom - top, 1));
    }
  }

  function drawSpectrogram(pen, ink) {
    if (pictureInk !== ink) {
      picture = image(cells, data.rows, data.frames, rgb(ink));
      pictureInk = ink;
    }
    pen.imageSmoothingEnabled = false;
    pen.drawImage(
      picture, shown[0] / data.step, 0, (shown[1] - shown[0]) / data.step, data.rows,
      LEFT, TOP, width - LEFT - RIGHT, SPECTROGRAM);
  }

  function drawLine(pen, values, [low, high], style, dashes) {
    const y = (v) => TOP + SPECTROGRAM * (1 - (clamp(v, low, high) - low) / (high - low));
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, TOP, width - LEFT - RIGHT, SPECTROGRAM);
    pen.clip();
    for (const [line, ink] of [[5, colour("--st-background-color")], [2.5, style]]) {
      pen.strokeStyle = ink; pen.lineWidth = line; pen.setLineDash(dashes);
      pen.beginPath();
      let drawing = false;
      values.forEach((value, i) => {
        if (value === null) { drawing = false; return; }
        const at = [x(i * data.step), y(value)];
        if (drawing) pen.lineTo(...at); else { pen.moveTo(at[0] - 1, at[1]); pen.lineTo(...at); }
        drawing = true;
      });
      pen.stroke();
    }
    pen.restore();
  }

  function drawAxes(pen, ink) {
    pen.fillStyle = ink;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const khz of [0, 2, 4, 6, 8]) {
      const y = TOP + SPECTROGRAM * (1 - khz / 8);
      pen.fillText(khz ? `${khz} kHz` : "0", LEFT - 5, clamp(y, TOP + 6, TOP + SPECTROGRAM - 6));
    }
    pen.fillText(data.peak.toFixed(2), LEFT - 5, 7);
    pen.fillText("0", LEFT - 5, WAVE / 2);
    pen.textAlign = "left";
    if (find("pitch").checked) {
      pen.fillStyle = colour("--pitch");
      for (const hz of [100, 300, 500]) {
        const y = TOP + SPECTROGRAM * (1 - hz / PITCH_HZ[1]);
        pen.fillText(`${hz} Hz`, width - RIGHT + 4, y);
      }
    }
    if (find("intensity").checked) {
      pen.fillStyle = colour("--intensity");
      for (const db of [-60, -30]) {
        const y = TOP + SPECTROGRAM * (1 - (db - INTENSITY_DB[0]) / (INTENSITY_DB[1] - INTENSITY_DB[0]));
        pen.fillText(`${db} dB`, width - RIGHT + 4, y);
      }
    }
    pen.fillStyle = ink;
    pen.textAlign = "center";
    const span = shown[1] - shown[0];
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10].find((s) => span / s <= width / 80) || 20;
    for (let t = Math.ceil(shown[0] / step) * step; t <= shown[1] + 1e-9; t += step) {
      pen.fillRect(x(t), TOP + SPECTROGRAM, 1, 4);
      const text = `${+t.toFixed(2)} s`;
      pen.fillText(text, clamp(x(t), LEFT, width - RIGHT), TOP + SPECTROGRAM + 14);
    }
  }

  function draw() {
    width = find("drawing").clientWidth;
    if (width <= LEFT + RIGHT) return; // not laid out yet
    const ink = colour("--st-text-color") || "#888888";
    root.querySelector(".view").classList.toggle("dark", Math.max(...rgb(ink)) > 128);
    const pen = context(base);
    drawWave(pen);
    drawSpectrogram(pen, ink);
    if (find("intensity").checked) {
      drawLine(pen, data.intensity, INTENSITY_DB, colour("--intensity"), [6, 4]);
    }
    if (find("pitch").checked) drawLine(pen, data.pitch, PITCH_HZ, colour("--pitch"), []);
    drawAxes(pen, ink);
    drawAbove();
  }

  function drawAbove() {
    const pen = context(above);
    if (selected) {
      pen.fillStyle = "#4a7fd433";
      const [from, to] = selected.map((t) => clamp(x(t), LEFT, width - RIGHT));
      pen.fillRect(from, 0, to - from, TOP + SPECTROGRAM);
    }
    if (cursor >= shown[0] && cursor <= shown[1]) {
      pen.fillStyle = colour("--cursor");
      pen.fillRect(x(cursor) - 1, 0, 2, TOP + SPECTROGRAM);
    }
    tell();
  }

  function tell() {
    const i = clamp(Math.round(cursor / data.step), 0, data.frames - 1);
    const hz = data.pitch[i];
    const words = [
      `Cursor at ${seconds(cursor)}`,
      hz === null || hz === undefined ? "no pitch" : `${Math.round(hz)} Hz`,
      `${Math.round(data.intensity[i])} dBFS`,
    ];
    if (selected) words.push(`selected ${seconds(selected[0])} to ${seconds(selected[1])}`);
    find("told").textContent = words.join(" · ");
    find("play").textContent = audio.paused ? (selected ? "Play selection" : "Play") : "Pause";
    find("out").disabled = find("all").disabled = shown[0] === 0 && shown[1] === length;
  }

  function follow() {
    cursor = clamp(audio.currentTime, 0, length);
    if (stopAt !== null && audio.currentTime >= stopAt) {
      audio.pause();
      cursor = stopAt;
    }
    if (cursor > shown[1] || cursor < shown[0]) show(cursor, cursor + shown[1] - shown[0]);
    drawAbove();
    frame = audio.paused ? 0 : requestAnimationFrame(follow);
  }

  function play() {
    if (!audio.paused) { audio.pause(); return; }
    if (selected) cursor = selected[0];
    else if (cursor >= length - 0.01) cursor = 0;
    stopAt = selected ? selected[1] : null;
    audio.currentTime = cursor;
    audio.play().catch(() => {}); // a browser may refuse sound that nobody asked for
  }

  function show(from, to) {
    const span = clamp(to - from, Math.min(SHORTEST, length), length);
    const first = clamp(from, 0, length - span);
    shown = [first, first + span];
    draw();
  }

  function zoom(factor) {
    if (selected && factor < 1) { show(...selected); return; }
    const middle = clamp(cursor, shown[0], shown[1]);
    show(middle - (middle - shown[0]) * factor, middle + (shown[1] - middle) * factor);
  }

  // What is shown, without cursor and selection, on the page's own background.
  async function save() {
    const paper = new OffscreenCanvas(base.width, base.height);
    const pen = paper.getContext("2d");
    pen.fillStyle = colour("--st-background-color") || "#ffffff";
    pen.fillRect(0, 0, base.width, base.height);
    pen.drawImage(base, 0, 0);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await paper.convertToBlob());
    link.download = "sound.png";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  const place = (event) => time(event.clientX - above.getBoundingClientRect().left);
  above.onpointerdown = (event) => {
    above.setPointerCapture(event.pointerId);
    dragging = place(event);
    selected = null;
    cursor = dragging;
    audio.pause();
    audio.currentTime = cursor;
    drawAbove();
  };
  above.onpointermove = (event) => {
    if (dragging === null) return;
    const now = place(event);
    selected = Math.abs(now - dragging) < 0.01 ? null : [Math.min(now, dragging), Math.max(now, dragging)];
    drawAbove();
  };
  above.onpointerup = above.onpointercancel = () => { dragging = null; };
  audio.onplay = () => { if (!frame) frame = requestAnimationFrame(follow); };
  audio.onpause = audio.onended = () => drawAbove();
  find("play").onclick = play;
  find("in").onclick = () => zoom(0.5);
  find("out").onclick = () => zoom(2);
  find("all").onclick = () => show(0, length);
  find("save").onclick = save;
  find("pitch").onchange = find("intensity").onchange = draw;
  find("drawing").onkeydown = (event) => {
    const step = event.shiftKey ? 0.1 : 0.01;
    const keys = {
      " ": play,
      "+": () => zoom(0.5),
      "-": () => zoom(2),
      Escape: () => { selected = null; drawAbove(); },
      ArrowLeft: () => { cursor = clamp(cursor - step, 0, length); drawAbove(); },
      ArrowRight: () => { cursor = clamp(cursor + step, 0, length); drawAbove(); },
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation(); // the page has keys of its own
    keys[event.key]();
  };
  find("drawing").setAttribute("aria-label", data.said);
  const resized = new ResizeObserver(draw);
  resized.observe(find("drawing"));
  if (data.autoplay) play();
  return {
    id: data.id,
    draw,
    close() {
      audio.pause();
      cancelAnimationFrame(frame);
      resized.disconnect();
      URL.revokeObjectURL(url);
    },
  };
}

export default function ({ data, parentElement }) {
  const before = parentElement.soundView;
  if (before?.id === data.id) before.draw(); // the page was drawn anew, with other colours perhaps
  else {
    before?.close();
    parentElement.soundView = build(parentElement, data);
  }
  return () => {
    parentElement.soundView?.close();
    parentElement.soundView = null;
  };
}
