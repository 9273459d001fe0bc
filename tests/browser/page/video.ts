// Clips made on the page, and videos compared with what the native build answered.
import {
  AudioSample,
  AudioSampleSource,
  BufferTarget,
  EncodedPacket,
  EncodedVideoPacketSource,
  Mp4OutputFormat,
  Output,
  WebMOutputFormat,
} from "mediabunny";
import type { Point, PredictedMask, Video, VideoFrameMasks } from "sam2-web";
import { decode, fixtureUrl, iou, largest, tools } from "./tools.js";

export interface ClipOptions {
  container?: "mp4" | "webm";
  codec?: "avc" | "vp8" | "vp9";
  frames?: number;
  width?: number;
  height?: number;
  /** When each frame is shown, in seconds. Default: 25 a second. */
  times?: number[];
  /** Key frames are this many frames apart. */
  keyEvery?: number;
  rotation?: 0 | 90 | 180 | 270;
  /** From this frame on the frames are half as large. */
  shrinkAt?: number;
  /** Of a WebM: every pixel is wholly transparent, whatever its colour. */
  transparent?: boolean;
  /** The tables of an MP4 come before the frames, or after them. */
  tablesFirst?: boolean;
  /** Silence, and from some second on a tone. */
  sound?: { codec: "opus" | "pcm-s16"; from: number };
}

/** The bits of a frame's number, as bars from the left, the lowest first; black or white. */
const BARS = 8;

/** A picture that says its number, however it is compressed. */
export function drawNumber(number: number, width: number, height: number): OffscreenCanvas {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d") as OffscreenCanvasRenderingContext2D;
  for (let bar = 0; bar < BARS; bar++) {
    context.fillStyle = (number >> bar) & 1 ? "white" : "black";
    context.fillRect((bar * width) / BARS, 0, width / BARS, height / 2);
  }
  // Below, something to look at: a disc that moves.
  context.fillStyle = "#264";
  context.fillRect(0, height / 2, width, height / 2);
  context.fillStyle = "#fa3";
  context.beginPath();
  context.arc(((number % 50) / 50) * width, height * 0.75, height / 6, 0, 7);
  context.fill();
  return canvas;
}

/** The number that a picture says. */
export function readNumber(picture: ImageBitmap): number {
  const { width, height } = picture;
  const context = new OffscreenCanvas(width, height).getContext("2d") as OffscreenCanvasRenderingContext2D;
  context.drawImage(picture, 0, 0);
  let number = 0;
  for (let bar = 0; bar < BARS; bar++) {
    const [value = 0] = context.getImageData(((bar + 0.5) * width) / BARS, height / 4, 1, 1).data;
    if (value > 127) number |= 1 << bar;
  }
  return number;
}

interface VideoCall {
  op: "points" | "mask" | "propagate" | "clear" | "remove" | "reset";
  frame: number;
  object: number;
  points?: Point[];
  box?: [number, number, number, number];
  keepPoints?: boolean;
  mask?: string;
  from?: number | null;
  frames?: number | null;
  backward?: boolean;
  expected: {
    frame: number;
    masks: { object: number; objectScore: number | null; bits: string; logits: string }[];
  }[];
}

export const clips = {
  drawNumber,
  readNumber,

  /** A clip whose frames say their numbers. */
  async make(options: ClipOptions = {}): Promise<Blob> {
    const { container = "webm", codec = container === "mp4" ? "avc" : "vp8", frames = 20 } = options;
    const { width = 160, height = 96, keyEvery = 8, rotation = 0, shrinkAt, tablesFirst = true } = options;
    const { transparent = false, sound } = options;
    const times = options.times ?? Array.from({ length: frames }, (_, i) => i / 25);
    const target = new BufferTarget();
    const format =
      container === "mp4"
        ? new Mp4OutputFormat({ fastStart: tablesFirst ? "in-memory" : false })
        : new WebMOutputFormat();
    const output = new Output({ format, target });
    const source = new EncodedVideoPacketSource(codec);
    output.addVideoTrack(source, { rotation, canBeTransparent: transparent });
    const audio = sound && new AudioSampleSource({ codec: sound.codec, bitrate: 32_000 });
    if (audio) output.addAudioTrack(audio);
    await output.start();
    if (audio) await addTone(audio, times.length / 25, sound?.from);
    // By the browser's own encoder, of which a new one begins where the size changes.
    const chunks: [chunk: EncodedVideoChunk, meta: EncodedVideoChunkMetadata | undefined][] = [];
    let failed: unknown;
    const error = (error: unknown) => {
      failed = error;
    };
    const encoder = new VideoEncoder({ output: (chunk, meta) => chunks.push([chunk, meta]), error });
    // How opaque each pixel is comes as the brightness of a second video.
    const alphas: Uint8Array[] = [];
    const alphaEncoder = new VideoEncoder({
      output: (chunk) => {
        const alpha = new Uint8Array(chunk.byteLength);
        chunk.copyTo(alpha);
        alphas.push(alpha);
      },
      error,
    });
    const black = new OffscreenCanvas(width, height);
    black.getContext("2d")?.fillRect(0, 0, width, height);
    const names = { avc: "avc1.42001f", vp8: "vp8", vp9: "vp09.00.10.08" };
    for (const [i, time] of times.entries()) {
      const size = shrinkAt !== undefined && i >= shrinkAt ? 0.5 : 1;
      if (i === 0 || i === shrinkAt) {
        await encoder.flush().catch(() => {});
        for (const each of transparent ? [encoder, alphaEncoder] : [encoder]) {
          each.configure({
            codec: names[codec],
            width: width * size,
            height: height * size,
            bitrate: 400_000,
            latencyMode: "realtime",
          });
        }
      }
      const [timestamp, duration] = [time * 1e6, ((times[i + 1] ?? time + 0.04) - time) * 1e6];
      const keyFrame = i % keyEvery === 0 || i === shrinkAt;
      const encode = (to: VideoEncoder, picture: OffscreenCanvas) => {
        const frame = new VideoFrame(picture, { timestamp, duration });
        to.encode(frame, { keyFrame });
        frame.close();
      };
      encode(encoder, drawNumber(i, width * size, height * size));
      if (transparent) encode(alphaEncoder, black);
    }
    await encoder.flush();
    encoder.close();
    if (transparent) await alphaEncoder.flush();
    alphaEncoder.close();
    if (failed) throw failed;
    for (const [i, [chunk, meta]] of chunks.entries()) {
      const alpha = alphas[i];
      await source.add(EncodedPacket.fromEncodedChunk(chunk, alpha && { alpha }), meta);
    }
    await output.finalize();
    return new Blob([target.buffer as ArrayBuffer], { type: `video/${container}` });
  },

  /** Overwrites the picture of a frame of a WebM that {@link clips.make} made: the block's head stays. */
  damageFrame(webm: Uint8Array, frame: number): void {
    const time = Math.round((frame / 25) * 1000);
    // SimpleBlock 0xA3, a length of some bytes, track 1 (0x81), the time in its cluster, flags.
    for (let at = 0; at + 12 < webm.length; at++) {
      if (webm[at] !== 0xa3) continue;
      const first = webm[at + 1] ?? 0;
      const head = at + 1 + Math.clz32(first) - 23;
      if (webm[head] !== 0x81 || ((webm[head + 1] ?? 0) << 8) + (webm[head + 2] ?? 0) !== time) continue;
      let size = first & (0xff >> (head - at - 1));
      for (let i = at + 2; i < head; i++) size = size * 256 + (webm[i] ?? 0);
      // VP8: a first partition that is longer than the packet.
      webm.fill(0xff, head + 5, head + size);
      return;
    }
    throw new Error(`there is no frame ${frame}`);
  },

  /** A file that is only heard. */
  async sound(): Promise<Blob> {
    const target = new BufferTarget();
    const output = new Output({ format: new WebMOutputFormat(), target });
    const source = new AudioSampleSource({ codec: "opus", bitrate: 32_000 });
    output.addAudioTrack(source);
    await output.start();
    await addTone(source, 1);
    await output.finalize();
    return new Blob([target.buffer as ArrayBuffer], { type: "audio/webm" });
  },

  /** How long a file sounds, and from when on it is not silent; in seconds. Undefined if it has no sound. */
  async heard(base64: string): Promise<{ duration: number; from: number } | undefined> {
    const context = new OfflineAudioContext(1, 1, 48_000);
    const audio = await context.decodeAudioData(decode(base64).buffer).catch(() => undefined);
    const loud = audio?.getChannelData(0).findIndex((value) => Math.abs(value) > 0.3);
    return audio && { duration: audio.duration, from: (loud ?? 0) / audio.sampleRate };
  },

  /** Frames of one's own, and how many have been asked for. */
  frames(
    count: number,
    draw: (frame: number) => Promise<VideoFrame | ImageBitmap> | VideoFrame | ImageBitmap,
  ) {
    const state = { asked: 0, ended: false };
    async function* make() {
      try {
        while (state.asked < count) {
          const frame = await draw(state.asked++);
          yield frame;
        }
      } finally {
        state.ended = true;
      }
    }
    return Object.assign(make(), { state });
  },

  /** The micro fixture's clip, as it is. */
  async fixture(model = "micro"): Promise<{ pictures: ImageData[]; calls: VideoCall[] }> {
    const { width, height, frames, calls } = JSON.parse(
      await (await tools.fixture(`video-${model}.json`)).text(),
    );
    const rgb = new Uint8Array(await (await tools.fixture("clip.rgb")).arrayBuffer());
    const pictures = Array.from({ length: frames }, (_, frame) => {
      const picture = new ImageData(width, height);
      for (let i = 0; i < width * height; i++) {
        for (let c = 0; c < 3; c++) picture.data[4 * i + c] = rgb[3 * (frame * width * height + i) + c] ?? 0;
        picture.data[4 * i + 3] = 255;
      }
      return picture;
    });
    return { pictures, calls };
  },

  /**
   * Repeats the fixture's script, and tells how far every answer is from the native one. `short`: its prompts on the
   * first frame, and the first steps from there.
   */
  async compare(device: "cpu" | "webgpu", short = false, model = "micro") {
    const fixture = await clips.fixture(model);
    const { pictures } = fixture;
    const calls = short ? fixture.calls.slice(0, 4) : fixture.calls;
    // (Of frames 1 and 2 the objects are not visible, and the masks say little.)
    if (short) for (const call of calls) shorten(call, 4);
    const sam = await tools.load({ model: fixtureUrl(`${model}.safetensors`), device });
    const frames = clips.frames(pictures.length, (i) => createImageBitmap(pictures[i] as ImageData));
    const video = await sam.openVideo(frames, {
      corrections: "official",
      fillHoles: 0,
      keepFrames: pictures.length,
    });
    // So that every frame can be prompted and tracked, as in a file.
    while ((await video.nextFrame()) !== undefined);
    const differences: {
      call: string;
      frame: number;
      objects: string;
      logits: number;
      iou: number;
      objectScore: number;
    }[] = [];
    for (const [index, call] of calls.entries()) {
      const answers = await repeat(video, call);
      if (answers.length !== call.expected.length)
        throw new Error(`call ${index} (${call.op}): ${answers.length} answers, not ${call.expected.length}`);
      for (const [i, expected] of call.expected.entries()) {
        const answer = answers[i] as VideoFrameMasks;
        const objects = (masks: { object: number }[]) => masks.map(({ object }) => object).join();
        if (answer.frame !== expected.frame || objects(answer.masks) !== objects(expected.masks))
          throw new Error(`call ${index}: frame ${answer.frame} of ${objects(answer.masks)}`);
        const pairs = expected.masks.map((wanted, j) => {
          const found = answer.masks[j] as VideoFrameMasks["masks"][number];
          if ((found.objectScore === undefined) !== (wanted.objectScore === null))
            throw new Error(`call ${index}, frame ${answer.frame}: object score ${found.objectScore}`);
          return [found.mask, wanted, (found.objectScore ?? 0) - (wanted.objectScore ?? 0)] as const;
        });
        const logits = (wanted: { logits: string }) => new Float32Array(decode(wanted.logits).buffer);
        differences.push({
          call: `${index} ${call.op}`,
          frame: answer.frame,
          objects: objects(answer.masks),
          logits: largest(pairs.map(([mask, wanted]) => relative(mask, logits(wanted)))),
          objectScore: largest(pairs.map(([, , difference]) => Math.abs(difference))),
          // Of all objects together, as the parity tests count it.
          iou: iou(
            joined(pairs.map(([mask]) => mask.bits)),
            joined(pairs.map(([, wanted]) => decode(wanted.bits))),
          ),
        });
      }
    }
    const { adapter } = sam;
    sam.dispose();
    return { device: adapter, calls: calls.length, differences };
  },
};

/** So many seconds, silent up to `from`. */
async function addTone(source: AudioSampleSource, seconds: number, from = 0): Promise<void> {
  const sampleRate = 48_000;
  const data = Float32Array.from({ length: seconds * sampleRate }, (_, i) =>
    i < from * sampleRate ? 0 : Math.sin(i / 20),
  );
  const tone = new AudioSample({ data, format: "f32", numberOfChannels: 1, sampleRate, timestamp: 0 });
  await source.add(tone);
  tone.close();
}

function joined(parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** The largest difference, as a share of the largest value. */
function relative(mask: PredictedMask, wanted: Float32Array): number {
  if (mask.logits.length !== wanted.length) return Number.NaN;
  const scale = largest(Array.from(wanted, Math.abs));
  return largest(Array.from(wanted, (value, i) => Math.abs(value - (mask.logits[i] ?? Number.NaN)))) / scale;
}

/** Of a run, the first steps only. */
function shorten(call: VideoCall, steps: number): void {
  if (call.op !== "propagate") return;
  call.frames = steps;
  call.expected.length = steps;
}

async function repeat(video: Video, call: VideoCall): Promise<VideoFrameMasks[]> {
  const { op, frame, object, points, box, keepPoints = false, mask } = call;
  switch (op) {
    case "points":
      return [
        await video.prompt({ frame, object, ...(points && { points }), ...(box && { box }), keepPoints }),
      ];
    case "mask":
      return [await video.prompt({ frame, object, mask: decode(mask ?? "") })];
    case "propagate": {
      const answers: VideoFrameMasks[] = [];
      const steps = video.propagate({
        from: call.from ?? 0,
        ...(call.frames && { frames: call.frames }),
        direction: call.backward ? "backward" : "forward",
      });
      for await (const masks of steps) answers.push(masks);
      return answers;
    }
    case "clear":
      return [await video.clearPrompts(frame, object)];
    case "remove":
      return video.removeObject(object);
    case "reset":
      await video.reset();
      return [];
  }
}
