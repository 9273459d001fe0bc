import { connectWorker } from "./connect.js";
import type { FrameSource } from "./frame-source.js";
import { FileTimes, type FrameTimes } from "./frame-times.js";
import type { Connection, RawPicture } from "./protocol.js";
import { until } from "./until.js";
import type { FileCalls, FileInfo } from "./video-file.js";
import { startWorker } from "./worker-script.js";

/** A file's frames, decoded in a worker of its own, so that pictures to show do not wait for the network. */
export async function openVideoFile(
  file: Blob | string,
  inWorker: boolean,
  workerUrl: string | undefined,
  signal: AbortSignal,
): Promise<FrameSource> {
  const connection = await connect(inWorker, workerUrl);
  try {
    const info = await until(connection.call("open", { file }, { signal }), [signal]);
    return new FileSource(connection, info);
  } catch (error) {
    connection.close();
    throw error;
  }
}

// The worker is written out as bundlers recognise it. Only this file's users pay for the demuxer.
async function connect(inWorker: boolean, workerUrl: string | undefined): Promise<Connection<FileCalls>> {
  if (inWorker) {
    const worker = startWorker(
      () => new Worker(new URL("./worker-video.js", import.meta.url), { type: "module" }),
      workerUrl,
    );
    return connectWorker<FileCalls>(worker, "Call openVideo again.");
  }
  const { VideoFile } = await import("./video-file.js");
  const file = new VideoFile();
  return {
    call: (method, args, context) => file.call(method, args, context),
    close: () => file.close(),
  };
}

class FileSource implements FrameSource {
  readonly width: number;
  readonly height: number;
  readonly frameCount: number;
  readonly duration: number;
  readonly times: FrameTimes;
  readonly leftOut: number;
  readonly earliest = 0;
  readonly #connection: Connection<FileCalls>;

  constructor(connection: Connection<FileCalls>, { width, height, duration, timestamps, leftOut }: FileInfo) {
    this.#connection = connection;
    this.width = width;
    this.height = height;
    this.duration = duration;
    this.leftOut = leftOut;
    this.times = new FileTimes(timestamps);
    this.frameCount = timestamps.length;
  }

  picture(frame: number, signal: AbortSignal): Promise<RawPicture> {
    return this.#connection.call("pixels", { frame }, { signal });
  }

  bitmap(frame: number, width: number | undefined, signal: AbortSignal): Promise<ImageBitmap> {
    return this.#connection.call("bitmap", { frame, width }, { signal });
  }

  async take(): Promise<undefined> {
    return undefined;
  }

  close(): void {
    this.#connection.close();
  }
}
