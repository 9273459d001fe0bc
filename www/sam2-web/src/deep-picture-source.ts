import { connectWorker } from "./connect.js";
import { isDeep } from "./is-deep.js";
import type { RawPicture } from "./protocol.js";
import type { Range } from "./stretch.js";
import { until } from "./until.js";
import { startWorker } from "./worker-script.js";

export interface PictureCalls {
  read: { args: { file: Blob; range: Range | undefined }; result: RawPicture | undefined };
}

export interface DeepPictureOptions {
  range?: Range | undefined;
  inWorker: boolean;
  /** Where the worker is, if it was told. */
  workerUrl?: string | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * A picture that the browser does not read, or not all of; undefined for any other. It is read in a worker of its own: the
 * readers are large, bundlers put all that a worker may load into one script, and few pictures need them.
 */
export async function readAside(
  file: Blob,
  { range, inWorker, workerUrl, signal }: DeepPictureOptions,
): Promise<RawPicture | undefined> {
  if (!(await isDeep(file))) return undefined;
  if (!inWorker) {
    const { readDeepPicture } = await import("./deep-picture.js");
    return readDeepPicture(file, range);
  }
  const worker = startWorker(
    () => new Worker(new URL("./worker-picture.js", import.meta.url), { type: "module" }),
    workerUrl,
  );
  const connection = connectWorker<PictureCalls>(worker, "Call setImage again.");
  try {
    return await until(connection.call("read", { file, range }), [signal]);
  } finally {
    connection.close();
  }
}
