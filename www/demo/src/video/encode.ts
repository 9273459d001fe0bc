// Encodes a canvas, frame by frame, to a file. Fetched when something is exported.
import { Sam2Error } from "sam2-web";
import { AlphaEncoder, alphaConfig } from "./alpha-encoder.js";
import {
  BufferTarget,
  CanvasSource,
  EncodedVideoPacketSource,
  getFirstEncodableVideoCodec,
  Mp4OutputFormat,
  Output,
  QUALITY_HIGH,
  WebMOutputFormat,
} from "./muxer.js";
import { addSound, type SoundStretch } from "./sound.js";

export type Container = "mp4" | "webm";

/** A file in the making. */
export interface Encoding {
  /** Whether there is a sound that this browser cannot bring into the file. */
  lostSound: boolean;
  /** The canvas as it is now, shown for `duration`; both in seconds. */
  add(timestamp: number, duration: number): Promise<void>;
  finish(): Promise<Blob>;
  /** Also after `finish`, or after a failure. */
  close(): Promise<void>;
}

/**
 * Encodes in the container's first codec that this browser can encode at this size.
 *
 * @param options.transparent - keep the canvas's transparency, which only WebM can.
 * @param options.sound - written at once, up to `signal`.
 * @throws `VIDEO_UNSUPPORTED` if there is none.
 */
export async function encode(
  canvas: OffscreenCanvas,
  container: Container,
  { transparent, sound, signal }: { transparent: boolean; sound: SoundStretch; signal: AbortSignal },
): Promise<Encoding> {
  const format =
    container === "mp4" ? new Mp4OutputFormat({ fastStart: "in-memory" }) : new WebMOutputFormat();
  const target = new BufferTarget();
  const output = new Output({ format, target });
  const { add, end, close } = await (transparent ? transparentTrack : opaqueTrack)(canvas, output);
  const found = await addSound(output, sound);
  const soundTrack = found === "lost" ? undefined : found;
  const release = () => {
    close();
    soundTrack?.close();
  };
  try {
    await output.start();
    await soundTrack?.write(signal);
  } catch (error) {
    release();
    await output.cancel();
    throw error;
  }
  return {
    lostSound: found === "lost",
    add,
    async finish() {
      await end();
      await output.finalize();
      if (!target.buffer) throw new Error("The encoder gave nothing.");
      return new Blob([target.buffer], { type: format.mimeType });
    },
    async close() {
      release();
      if (output.state !== "finalized" && output.state !== "canceled") await output.cancel();
    },
  };
}

async function opaqueTrack(canvas: OffscreenCanvas, output: Output) {
  const { width, height } = canvas;
  const codec = await getFirstEncodableVideoCodec(output.format.getSupportedVideoCodecs(), { width, height });
  if (!codec) throw cannotEncode(canvas);
  const source = new CanvasSource(canvas, { codec, quality: QUALITY_HIGH });
  output.addVideoTrack(source);
  return {
    add: (timestamp: number, duration: number) => source.add(timestamp, duration),
    end: async () => source.close(),
    close() {},
  };
}

async function transparentTrack(canvas: OffscreenCanvas, output: Output) {
  const found = await alphaConfig(canvas.width, canvas.height);
  if (!found) throw cannotEncode(canvas);
  const source = new EncodedVideoPacketSource(found.codec);
  output.addVideoTrack(source, { canBeTransparent: true });
  const encoder = new AlphaEncoder(canvas, source, found.config);
  return {
    add: (timestamp: number, duration: number) => encoder.add(timestamp, duration),
    async end() {
      await encoder.finish();
      source.close();
    },
    close: () => encoder.close(),
  };
}

function cannotEncode({ width, height }: OffscreenCanvas): Sam2Error {
  const message = `This browser cannot encode ${width} × ${height} in this format. Choose the other one.`;
  return new Sam2Error("VIDEO_UNSUPPORTED", message);
}
