/** Runs where the browser makes sound, and hands on what the microphone hears. */

declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;

/** A message for each of the 128 samples that come at a time would be 375 a second. */
const PIECE = 2048;

class Microphone extends AudioWorkletProcessor {
  private piece = new Float32Array(PIECE);
  private filled = 0;

  /** Take what has come on the channels of the first input; true asks for more. */
  process([channels]: Float32Array[][]): boolean {
    if (channels.length === 0) return true;
    for (let i = 0; i < channels[0].length; i++) {
      const sum = channels.reduce((all, channel) => all + channel[i], 0);
      this.piece[this.filled++] = Math.min(Math.max(sum / channels.length, -1), 1);
      if (this.filled === PIECE) {
        this.port.postMessage(this.piece, [this.piece.buffer]);
        this.piece = new Float32Array(PIECE);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
