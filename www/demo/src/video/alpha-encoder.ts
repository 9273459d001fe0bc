import { EncodedPacket, type EncodedVideoPacketSource } from "./muxer.js";

// Browsers encode no transparency, so WebM carries it as a second, grey video of the same codec, packet by packet.
// mediabunny can do that too, but in a worker made from text, which the page's security policy forbids.

const CODECS = [
  { name: "vp9", full: "vp09.00.51.08" },
  { name: "vp8", full: "vp8" },
] as const;

type AlphaConfig = { codec: (typeof CODECS)[number]["name"]; config: VideoEncoderConfig };

/** Frames between those that can be jumped to. */
const KEY_INTERVAL = 60;
/** Frames that may wait for the encoder. */
const MAX_WAITING = 4;

/** What the browser can encode at this size; undefined if nothing. */
export async function alphaConfig(width: number, height: number): Promise<AlphaConfig | undefined> {
  for (const { name, full } of CODECS) {
    const config = { codec: full, width, height, bitrate: Math.max(500_000, 4 * width * height) };
    if ((await VideoEncoder.isConfigSupported(config)).supported) return { codec: name, config };
  }
  return undefined;
}

/** Encodes a canvas with its transparency. */
export class AlphaEncoder {
  readonly #canvas: OffscreenCanvas;
  readonly #source: EncodedVideoPacketSource;
  readonly #color: VideoEncoder;
  readonly #alpha: VideoEncoder;
  readonly #colors: { chunk: EncodedVideoChunk; meta: EncodedVideoChunkMetadata | undefined }[] = [];
  readonly #alphas: EncodedVideoChunk[] = [];
  #added: Promise<void> = Promise.resolve();
  #failed: Error | undefined;
  #frames = 0;

  constructor(canvas: OffscreenCanvas, source: EncodedVideoPacketSource, config: VideoEncoderConfig) {
    this.#canvas = canvas;
    this.#source = source;
    const error = (cause: Error) => {
      this.#failed ??= cause;
    };
    this.#color = new VideoEncoder({
      error,
      output: (chunk, meta) => {
        this.#colors.push({ chunk, meta });
        this.#join();
      },
    });
    this.#alpha = new VideoEncoder({
      error,
      output: (chunk) => {
        this.#alphas.push(chunk);
        this.#join();
      },
    });
    this.#color.configure(config);
    this.#alpha.configure(config);
  }

  /**
   * Encodes the canvas as it is now. Resolves when there is room for the next frame.
   *
   * @param timestamp - in seconds, as is `duration`.
   */
  async add(timestamp: number, duration: number): Promise<void> {
    const time = { timestamp: Math.round(timestamp * 1e6), duration: Math.round(duration * 1e6) };
    const keyFrame = this.#frames++ % KEY_INTERVAL === 0;
    for (const [encoder, frame] of [
      [this.#color, new VideoFrame(this.#canvas, { ...time, alpha: "discard" })],
      [this.#alpha, this.#alphaFrame(time)],
    ] as const) {
      encoder.encode(frame, { keyFrame });
      frame.close();
    }
    while (!this.#failed && this.#color.encodeQueueSize + this.#alpha.encodeQueueSize > MAX_WAITING)
      await new Promise((resolve) => setTimeout(resolve, 5));
    await this.#added;
    if (this.#failed) throw this.#failed;
  }

  async finish(): Promise<void> {
    await Promise.all([this.#color.flush(), this.#alpha.flush()]);
    await this.#added;
    if (this.#failed) throw this.#failed;
  }

  close(): void {
    for (const encoder of [this.#color, this.#alpha]) if (encoder.state !== "closed") encoder.close();
  }

  /** The canvas's transparency as brightness, byte for byte: made by hand, as a conversion of colours would shrink it. */
  #alphaFrame(time: { timestamp: number; duration: number }): VideoFrame {
    const { width, height } = this.#canvas;
    const pixels = this.#canvas.getContext("2d")?.getImageData(0, 0, width, height).data;
    if (!pixels) throw new Error("The browser gives no canvas to read from.");
    const planes = new Uint8Array(width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2)).fill(
      128,
    );
    for (let i = 0; i < width * height; i++) planes[i] = pixels[4 * i + 3] ?? 0;
    return new VideoFrame(planes, { ...time, format: "I420", codedWidth: width, codedHeight: height });
  }

  /** Hands over the packets of which both halves are there. */
  #join(): void {
    while (this.#colors.length && this.#alphas.length) {
      const color = this.#colors.shift();
      const alphaChunk = this.#alphas.shift();
      if (!color || !alphaChunk) return;
      const alpha = new Uint8Array(alphaChunk.byteLength);
      alphaChunk.copyTo(alpha);
      const packet = EncodedPacket.fromEncodedChunk(color.chunk, {
        alpha,
        alphaByteLength: alpha.byteLength,
      });
      this.#added = this.#added
        .then(() => this.#source.add(packet, color.meta))
        .catch((cause) => {
          this.#failed ??= cause;
        });
    }
  }
}
