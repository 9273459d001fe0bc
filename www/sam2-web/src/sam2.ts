import { connectLocal, connectWorker } from "./connect.js";
import { chooseDevices } from "./device.js";
import { Sam2Error } from "./errors.js";
import { ImageEmbedding } from "./image-embedding.js";
import { toPicture } from "./picture.js";
import type { Calls, Connection } from "./protocol.js";
import type { LoadOptions, ModelInfo, PictureSource, SetImageOptions } from "./types.js";
import { check, until } from "./until.js";
import { weightsSource } from "./weights-source.js";

/** A model, loaded and ready. */
export class Sam2 {
  /** Where it runs: `"webgpu"` or `"cpu"`. */
  readonly device: "webgpu" | "cpu";
  /** The GPU's description, or `"cpu"`. */
  readonly adapter: string;
  readonly model: ModelInfo;
  readonly #connection: Connection;
  readonly #disposed = new AbortController();
  #encodes = 0;

  private constructor(connection: Connection, device: "webgpu" | "cpu", loaded: Calls["load"]["result"]) {
    const { device: adapter, ...model } = loaded;
    this.#connection = connection;
    this.device = device;
    this.adapter = adapter;
    this.model = model;
  }

  /**
   * Downloads a model and readies it on a device.
   *
   * @throws {@link Sam2Error} `NETWORK`, `WEIGHTS_*`, `DEVICE_UNAVAILABLE`, `OUT_OF_MEMORY`, `ABORTED`.
   */
  static async load(options: LoadOptions = {}): Promise<Sam2> {
    const { device = "auto", worker = true, signal, onProgress } = options;
    check(signal);
    const weights = weightsSource(options);
    const devices = await until(chooseDevices(device), [signal]);
    for (const [index, chosen] of devices.entries()) {
      const connection = await connect(chosen, worker);
      try {
        const call = connection.call("load", { weights }, { signal, onProgress: muted(onProgress, signal) });
        return new Sam2(connection, chosen, await until(call, [signal]));
      } catch (error) {
        connection.close();
        const another = index + 1 < devices.length;
        if (!(another && error instanceof Sam2Error && error.code === "DEVICE_UNAVAILABLE")) throw error;
      }
    }
    throw new Sam2Error("DEVICE_UNAVAILABLE", "No device could run the model.");
  }

  /** How many pictures have been encoded so far. Prompts never add to it. */
  get encodes(): number {
    return this.#encodes;
  }

  /**
   * Shows the model a picture: the one slow step, once a picture. The picture is copied unless `transfer` is set.
   *
   * @throws {@link Sam2Error} `INVALID_IMAGE`, `IMAGE_TOO_LARGE` (above 64 megapixels), `UNSUPPORTED_INPUT`,
   * `ABORTED`, `DISPOSED`, or what befell the device.
   */
  async setImage(
    picture: PictureSource,
    { signal, transfer = false }: SetImageOptions = {},
  ): Promise<ImageEmbedding> {
    check(this.#disposed.signal, signal);
    const gone = [signal, this.#disposed.signal];
    const prepared = await until(toPicture(picture, transfer), gone, (late) => closeBitmap(late.picture));
    const call = this.#connection.call(
      "setImage",
      { picture: prepared.picture },
      { signal },
      prepared.transfer,
    );
    const made = await until(call, gone, ({ image }) => {
      if (!this.#disposed.signal.aborted) this.#connection.call("release", { image }).catch(() => {});
    });
    this.#encodes = made.encodes;
    return new ImageEmbedding(this.#connection, this.#disposed.signal, made);
  }

  /** Frees the model, all its images and its worker. Calls under way and later ones reject with `DISPOSED`. */
  dispose(): void {
    if (this.#disposed.signal.aborted) return;
    this.#disposed.abort(new Sam2Error("DISPOSED", "The model has been disposed of. Call Sam2.load again."));
    this.#connection.close();
  }
}

// Each wasm build has a worker of its own, written out as bundlers recognise it, so that only one build is fetched and
// no worker needs code splitting (which Vite's default worker format lacks).
async function connect(device: "webgpu" | "cpu", inWorker: boolean): Promise<Connection> {
  if (!inWorker) {
    const { wasm } = await (device === "webgpu" ? import("./wasm-webgpu.js") : import("./wasm-cpu.js"));
    return connectLocal(wasm);
  }
  return connectWorker(
    device === "webgpu"
      ? new Worker(new URL("./worker-webgpu.js", import.meta.url), { type: "module" })
      : new Worker(new URL("./worker-cpu.js", import.meta.url), { type: "module" }),
  );
}

function muted(onProgress: LoadOptions["onProgress"], signal?: AbortSignal): LoadOptions["onProgress"] {
  return onProgress && ((progress) => signal?.aborted || onProgress(progress));
}

function closeBitmap(picture: Calls["setImage"]["args"]["picture"]): void {
  if ("close" in picture) picture.close();
}
