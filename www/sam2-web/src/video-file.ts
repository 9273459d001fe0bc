// Decoding of files: the only part that knows the demuxer. Runs in a worker of its own, or on the page's thread.
import {
  BlobSource,
  EncodedPacketSink,
  Input,
  type InputVideoTrack,
  MATROSKA,
  MP4,
  QTFF,
  UnsupportedInputFormatError,
  UrlSource,
  type VideoSample,
  VideoSampleSink,
  WEBM,
} from "mediabunny";
import { Sam2Error, toSam2Error } from "./errors.js";
import { decodeOpaque } from "./opaque-decoder.js";
import type { CallContext, RawPicture } from "./protocol.js";
import { checkSize } from "./size.js";
import { check } from "./until.js";

/** What a file is asked, also across a worker's boundary. */
export interface FileCalls {
  open: { args: { file: Blob | string }; result: FileInfo };
  pixels: { args: { frame: number }; result: RawPicture };
  bitmap: { args: { frame: number; width: number | undefined }; result: ImageBitmap };
}

export interface FileInfo {
  /** In pixels, as shown. */
  width: number;
  height: number;
  /** Of the whole file, in seconds. */
  duration: number;
  /** When each frame is shown, in seconds, ascending. */
  timestamps: Float64Array<ArrayBuffer>;
}

type FileHandlers = {
  [M in keyof FileCalls]: (
    args: FileCalls[M]["args"],
    signal: AbortSignal | undefined,
  ) => Promise<FileCalls[M]["result"]>;
};

/** One file, behind the calls of {@link FileCalls}. */
export class VideoFile {
  #input: Input | undefined;
  /** One for tracking and one for showing, so that neither makes the other seek. */
  #tracking: FrameReader | undefined;
  #showing: FrameReader | undefined;

  async call<M extends keyof FileCalls>(
    method: M,
    args: FileCalls[M]["args"],
    { signal }: CallContext = {},
  ): Promise<FileCalls[M]["result"]> {
    try {
      return await (this.#handlers as FileHandlers)[method](args, signal);
    } catch (error) {
      throw toVideoError(error);
    }
  }

  close(): void {
    for (const reader of [this.#tracking, this.#showing]) reader?.close();
    this.#input?.dispose();
  }

  readonly #handlers: FileHandlers = {
    open: async ({ file }, signal) => {
      if (typeof VideoDecoder === "undefined") {
        throw new Sam2Error(
          "VIDEO_UNSUPPORTED",
          "This browser has no WebCodecs, so it cannot take a file's frames one by one. Pass openVideo an async " +
            "iterable of ImageBitmap instead, or a <video>.",
        );
      }
      const source =
        typeof file === "string"
          ? new UrlSource(file, { getRetryDelay: (attempts) => (attempts < 3 ? 0.5 * attempts : null) })
          : new BlobSource(file);
      this.#input = new Input({ source, formats: [MP4, QTFF, WEBM, MATROSKA] });
      const track = await this.#input.getPrimaryVideoTrack();
      check(signal);
      if (!track) {
        if ((await this.#input.getTracks()).length === 0)
          throw new Sam2Error("VIDEO_CORRUPT", "The file has no tracks at all. It is damaged, or was cut.");
        throw new Sam2Error("NO_VIDEO_TRACK", "The file has no video track. Is it a sound recording?");
      }
      if (!(await track.canDecode())) {
        const codec = (await track.getCodecParameterString()) ?? track.codec ?? "an unknown codec";
        throw new Sam2Error(
          "VIDEO_UNSUPPORTED",
          `This browser cannot decode the file's video (${codec}). Convert it to H.264 or VP9, or pass openVideo an ` +
            "async iterable of its frames.",
        );
      }
      // Once it is known that the browser decodes it: of our own decoder the demuxer takes that as given.
      if (await track.canBeTransparent()) decodeOpaque();
      const [width, height] = [await track.getDisplayWidth(), await track.getDisplayHeight()];
      checkSize(width, height);
      const timestamps = await readTimestamps(track, signal);
      const size: FrameSize = { width, height };
      this.#tracking = new FrameReader(track, timestamps, size);
      this.#showing = new FrameReader(track, timestamps, size);
      return { width, height, duration: await track.computeDuration(), timestamps: timestamps.slice() };
    },

    pixels: ({ frame }, signal) => this.#open(this.#tracking).read(frame, signal),

    bitmap: async ({ frame, width: wanted }, signal) => {
      const { data, width, height } = await this.#open(this.#showing).read(frame, signal);
      const resize = wanted && wanted < width ? { resizeWidth: wanted } : {};
      return createImageBitmap(new ImageData(data, width, height), resize);
    },
  };

  #open(reader: FrameReader | undefined): FrameReader {
    if (!reader) throw new Sam2Error("INTERNAL", "The file is not open.");
    return reader;
  }
}

/** Of every frame that is shown, in the order of showing. Reads an MP4's tables, but a WebM's whole file. */
async function readTimestamps(
  track: InputVideoTrack,
  signal: AbortSignal | undefined,
): Promise<Float64Array<ArrayBuffer>> {
  const shown: number[] = [];
  const packets = new EncodedPacketSink(track).packets(undefined, undefined, { metadataOnly: true });
  for await (const { timestamp, duration } of packets) {
    check(signal);
    // Those that end before time 0 are there for the decoder only.
    if (timestamp >= 0 || timestamp + duration > 0) shown.push(timestamp);
  }
  if (shown.length === 0) throw new Sam2Error("VIDEO_CORRUPT", "The file's video track has no frames.");
  return Float64Array.from(shown).sort();
}

interface FrameSize {
  /** As shown. */
  readonly width: number;
  readonly height: number;
  /** As stored: of the first frame that was decoded. */
  stored?: string;
}

/** At most so many frames, and so many bytes of them, are kept on the way back through a clip. */
const KEPT_FRAMES = 32;
const KEPT_BYTES = 64 * 2 ** 20;

/**
 * Any frame of a track, and quickly the one after the last, or before it. Backward, a run of frames is decoded at once
 * and kept.
 */
class FrameReader {
  readonly #sink: VideoSampleSink;
  readonly #packets: EncodedPacketSink;
  readonly #timestamps: Float64Array;
  readonly #size: FrameSize;
  /** How many frames a run backward is long. */
  readonly #run: number;
  #turns: Promise<unknown> = Promise.resolve();
  #samples: AsyncGenerator<VideoSample, void, unknown> | undefined;
  /** The frame that the decoder gives next. */
  #next = 0;
  #last = -1;
  readonly #kept = new Map<number, RawPicture>();

  constructor(track: InputVideoTrack, timestamps: Float64Array, size: FrameSize) {
    this.#sink = new VideoSampleSink(track);
    this.#packets = new EncodedPacketSink(track);
    this.#timestamps = timestamps;
    this.#size = size;
    this.#run = Math.max(2, Math.min(KEPT_FRAMES, Math.floor(KEPT_BYTES / (size.width * size.height * 4))));
  }

  /** The frame's pixels; the caller's. */
  read(frame: number, signal?: AbortSignal): Promise<RawPicture> {
    const turn = this.#turns.then(() => {
      check(signal);
      return this.#read(frame, signal);
    });
    this.#turns = turn.catch(() => {});
    return turn;
  }

  close(): void {
    this.#kept.clear();
    this.#stop();
  }

  async #read(frame: number, signal: AbortSignal | undefined): Promise<RawPicture> {
    const kept = this.#kept.get(frame);
    const stepsBack = frame < this.#last && this.#last - frame <= this.#run;
    this.#last = frame;
    if (kept) {
      this.#kept.delete(frame);
      return kept;
    }
    this.#kept.clear();
    try {
      return await this.#decodeTo(frame, stepsBack, signal);
    } catch (error) {
      // The decoder works ahead, so the damage may lie after this frame.
      if (!(error instanceof Sam2Error && error.code === "VIDEO_CORRUPT")) throw error;
      const sample = await this.#sink.getSample(this.#time(frame)).catch(() => null);
      try {
        if (!sample || this.#indexOf(sample.timestamp) !== frame) throw error;
        return await this.#toPixels(sample);
      } finally {
        sample?.close();
      }
    }
  }

  /** Decodes on to the frame; if that was a step back, from some frames before it, which are kept. */
  async #decodeTo(frame: number, stepsBack: boolean, signal: AbortSignal | undefined): Promise<RawPicture> {
    let first = stepsBack ? Math.max(0, frame - this.#run + 1) : frame;
    if (!(await this.#reaches(first))) await this.#seek(first);
    else first = Math.max(first, this.#next);
    for (;;) {
      check(signal);
      const { index, sample } = await this.#decode(frame);
      try {
        if (index < first) continue;
        const picture = await this.#toPixels(sample);
        if (index === frame) return picture;
        this.#kept.set(index, picture);
      } finally {
        sample.close();
      }
    }
  }

  /** Whether going on to the frame is quicker than seeking it. */
  async #reaches(frame: number): Promise<boolean> {
    if (!this.#samples || frame < this.#next) return false;
    if (frame === this.#next) return true;
    const key = await this.#packets.getKeyPacket(this.#time(frame), { metadataOnly: true });
    return !key || key.timestamp <= this.#time(this.#next);
  }

  async #seek(frame: number): Promise<void> {
    this.#stop();
    this.#samples = this.#sink.samples(this.#time(frame));
    this.#next = frame;
  }

  /** The decoder's next frame, on the way to `wanted`. */
  async #decode(wanted: number): Promise<{ index: number; sample: VideoSample }> {
    try {
      const { value: sample } = (await this.#samples?.next()) ?? {};
      if (!sample) throw new Error("the data ends before it");
      const index = this.#indexOf(sample.timestamp);
      this.#next = index + 1;
      if (index > wanted) {
        sample.close();
        throw new Error("the decoder left it out");
      }
      return { index, sample };
    } catch (error) {
      // The decoder is of no use any more; the next call starts another.
      this.#stop();
      throw toVideoError(error, `Frame ${wanted} cannot be read`);
    }
  }

  #stop(): void {
    const samples = this.#samples;
    this.#samples = undefined;
    samples?.return().catch(() => {});
  }

  #time(frame: number): number {
    return this.#timestamps[frame] ?? Number.POSITIVE_INFINITY;
  }

  /** The frame whose time is the closest. */
  #indexOf(timestamp: number): number {
    let [low, high] = [0, this.#timestamps.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#time(middle) + this.#time(middle + 1)) / 2 < timestamp) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  async #toPixels(sample: VideoSample): Promise<RawPicture> {
    const { displayWidth: width, displayHeight: height } = sample;
    const { rotation, flip, visibleRect } = sample;
    const stored = `${visibleRect.width} x ${visibleRect.height}`;
    this.#size.stored ??= stored;
    if (width !== this.#size.width || height !== this.#size.height || stored !== this.#size.stored) {
      throw new Sam2Error(
        "FRAME_SIZE_CHANGED",
        `The video's frames change from ${this.#size.stored} to ${stored} pixels at ` +
          `${sample.timestamp.toFixed(3)} s. Cut the file there, or convert it to one size.`,
      );
    }
    const data = new Uint8ClampedArray(width * height * 4);
    if (!rotation && !flip && visibleRect.width === width && visibleRect.height === height) {
      try {
        const layout = [{ offset: 0, stride: width * 4 }];
        await sample.copyTo(data, { format: "RGBA", colorSpace: "srgb", layout });
        return { data, width, height };
      } catch {
        // Not every browser converts to RGBA.
      }
    }
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    if (!context) {
      throw new Sam2Error("OUT_OF_MEMORY", `The browser refused a canvas of ${width} x ${height} pixels.`);
    }
    sample.draw(context, 0, 0, width, height);
    return { data: context.getImageData(0, 0, width, height, { colorSpace: "srgb" }).data, width, height };
  }
}

/** What the demuxer and the decoder throw has no codes. */
function toVideoError(thrown: unknown, what = "The file cannot be read"): Sam2Error {
  if (thrown instanceof Sam2Error) return thrown;
  const { message } = thrown as Error;
  if (thrown instanceof UnsupportedInputFormatError) {
    return new Sam2Error(
      "VIDEO_UNSUPPORTED",
      "The file is not an MP4, MOV or WebM video. Convert it to one of them.",
      {
        cause: thrown,
      },
    );
  }
  if (/fetch/i.test(message)) {
    return new Sam2Error(
      "NETWORK",
      `${what}: ${message}. Check the URL, the server's CORS headers and the page's connect-src policy.`,
      { cause: thrown },
    );
  }
  const known = toSam2Error(thrown);
  if (known.code === "OUT_OF_MEMORY") return known;
  return new Sam2Error("VIDEO_CORRUPT", `${what}: ${message}. It is damaged, or was cut.`, { cause: thrown });
}
