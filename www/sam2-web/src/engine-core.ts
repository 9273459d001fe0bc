import { isOutOfMemory, isTrap, type PlainError, Sam2Error, toPlain, toSam2Error } from "./errors.js";
import { ifOpenedFromDisk, readFileUrl } from "./file-url.js";
import { closePicture } from "./frame-source.js";
import type { CallContext, CallTable, CoreCalls, FramePicture, WeightsSource } from "./protocol.js";
import { readWeights, type Weights } from "./read-weights.js";
import type { Precision } from "./types.js";
import { check } from "./until.js";
import type { WasmBase, WasmDevice } from "./wasm-module.js";

/** What answers the calls of a table. */
export type Handlers<C extends CallTable<keyof C & string>> = {
  [M in keyof C]: (args: C[M]["args"], context: CallContext) => Promise<C[M]["result"]>;
};

/** What a network is built from. */
export interface Source {
  weights: WeightsSource;
  precision: Precision;
  /** Of the module itself, where it is not beside its script. */
  wasmUrl?: string;
}

/** A network on its device, with the file it came from. */
export interface Built<T> {
  network: T;
  device: WasmDevice;
  bytes: Uint8Array<ArrayBuffer>;
  /** Why the file could not be kept. */
  notKept: Sam2Error | undefined;
}

/** A wasm memory this full at a trap was most likely the trap's cause. */
const NEARLY_FULL_BYTES = 3 * 2 ** 30;

/** A read that fails because the GPU is lost may be told so before the reason is. */
const REASON_MS = 100;

/**
 * A wasm instance behind calls, which it answers one at a time, and what becomes of them when it fails. Lives in a worker or
 * on the page's own thread; knows nothing of either.
 */
export abstract class EngineCore<C extends CallTable<keyof C & string> & CoreCalls, W extends WasmBase> {
  protected readonly wasm: W;
  protected abstract readonly handlers: Omit<Handlers<C>, keyof CoreCalls>;
  #memory: WebAssembly.Memory | undefined;
  #device: WasmDevice | undefined;
  /** One call at a time: a wasm object cannot be freed or entered again while a call on it is under way. */
  #queue: Promise<unknown> = Promise.resolve();
  #busy = 0;
  #fatal: Sam2Error | undefined;
  /** Whether the instance has stopped in the middle of something, so that nothing of it can be freed. */
  #trapped = false;
  #tellLost!: (reason: PlainError) => void;
  readonly #lost = new Promise<PlainError>((resolve) => {
    this.#tellLost = resolve;
  });
  /** Downloaded for a load that has not ended well. */
  #weights: Uint8Array<ArrayBuffer> | undefined;
  /** Of the calls under way. (Racing each with one promise of the engine's end would keep them all for ever.) */
  readonly #rejects = new Set<(error: Sam2Error) => void>();

  constructor(wasm: W) {
    this.wasm = wasm;
    // A trap inside a wasm future surfaces here only: the future's own promise then never settles.
    globalThis.addEventListener?.("error", this.#onGlobalError);
    globalThis.addEventListener?.("unhandledrejection", this.#onGlobalError);
  }

  async call<M extends keyof C & string>(
    method: M,
    args: C[M]["args"],
    context: CallContext = {},
  ): Promise<C[M]["result"]> {
    // These two are asked of an engine that has stopped.
    if (method === "takeWeights") return this.#takeWeights() as C[M]["result"];
    if (method === "lost") return this.#lost as Promise<C[M]["result"]>;
    if (this.#fatal) {
      discard(args);
      throw this.#fatal;
    }
    const waits = this.#busy > 0;
    const turn = this.#queue.then(async () => {
      // An abort sent while the thread was computing is still on its way: let it arrive.
      if (waits) await new Promise((resolve) => setTimeout(resolve));
      try {
        if (this.#fatal) throw this.#fatal;
        check(context.signal);
        return await (this.handlers as Handlers<C>)[method](args, context);
      } catch (error) {
        discard(args);
        throw error;
      }
    });
    this.#queue = turn.catch(() => {});
    this.#busy++;
    let giveUp!: (error: Sam2Error) => void;
    try {
      return await new Promise<C[M]["result"]>((resolve, reject) => {
        giveUp = reject;
        this.#rejects.add(giveUp);
        turn.then(resolve, reject);
      });
    } catch (thrown) {
      if (isTrap(thrown)) throw this.#die(thrown);
      const error = toSam2Error(thrown);
      if (!isOfTheDevice(thrown)) throw error;
      await Promise.race([this.#lost, new Promise((resolve) => setTimeout(resolve, REASON_MS))]);
      throw this.#stop(error);
    } finally {
      this.#rejects.delete(giveUp);
      this.#busy--;
    }
  }

  /** Frees everything once the call under way has ended. */
  close(): void {
    globalThis.removeEventListener?.("error", this.#onGlobalError);
    globalThis.removeEventListener?.("unhandledrejection", this.#onGlobalError);
    this.#queue = this.#queue.then(() => {
      this.#fatal ??= new Sam2Error("DISPOSED", "The model has been disposed of.");
      if (this.#trapped) return;
      this.free();
      this.#device?.free();
      this.#device = undefined;
    });
  }

  /** Frees all that is on the device. */
  protected abstract free(): void;

  /**
   * Reads a network's file, and opens the device meanwhile. `onHeader` is told how a safetensors file begins, and may ready
   * the device for it.
   */
  protected async build<T>(
    { weights, precision, wasmUrl }: Source,
    { signal, onProgress }: CallContext,
    make: (device: WasmDevice, bytes: Uint8Array<ArrayBuffer>) => Promise<T>,
    onHeader?: (device: WasmDevice, header: Uint8Array) => Promise<unknown>,
  ): Promise<Built<T>> {
    const step = (phase: "verify" | "compile" | "upload" | "ready", loaded: 0 | 1) =>
      onProgress?.({ phase, loaded, total: 1 });
    const opened = this.#open(precision === "f16", wasmUrl);
    opened.catch(() => {}); // It may fail while the download still runs; awaited below.
    let warm: Promise<unknown> = opened;
    const file: Weights = await readWeights(weights, {
      signal,
      onProgress,
      onHeader: (header) => {
        // Loading will fail for the same reason, and say so.
        if (onHeader) warm = opened.then((device) => onHeader(device, header)).catch(() => {});
      },
    });
    this.#weights = file.bytes;
    step("verify", 1);
    check(signal);
    step("compile", 0);
    const device = await opened;
    await warm;
    step("compile", 1);
    check(signal);
    step("upload", 0);
    const network = await make(device, file.bytes).catch(async (error) => {
      // A page that answers for a missing file must not be kept, and what was kept and is bad must go.
      if (toSam2Error(error).code.startsWith("WEIGHTS_")) await file.drop();
      throw error;
    });
    this.#weights = undefined;
    const notKept = await file.keep();
    step("upload", 1);
    step("ready", 1);
    return { network, device, bytes: file.bytes, notKept };
  }

  #takeWeights(): ArrayBuffer | undefined {
    const bytes = this.#weights;
    this.#weights = undefined;
    if (!bytes) return undefined;
    const { buffer, byteOffset, byteLength } = bytes;
    // What is handed over is the whole buffer, and this one may be longer than the file.
    return byteOffset === 0 && byteLength === buffer.byteLength
      ? buffer
      : buffer.slice(byteOffset, byteOffset + byteLength);
  }

  async #open(f16Products: boolean, wasmUrl: string | undefined): Promise<WasmDevice> {
    await this.#start(wasmUrl);
    const device = await this.wasm.Device.open(f16Products);
    this.#device = device;
    // A GPU may go while nobody asks anything of it.
    void device.fault().then((fault) => fault && this.#stop(toSam2Error(fault)));
    return device;
  }

  async #start(wasmUrl: string | undefined): Promise<void> {
    try {
      const file = wasmUrl?.startsWith("file:") ? await readFileUrl(wasmUrl) : wasmUrl;
      this.#memory = (await this.wasm.init(file ? { module_or_path: file } : undefined)).memory;
      this.wasm.setPanicHandler((message) => this.#die(new Error(message)));
    } catch (cause) {
      if (cause instanceof Error && isOutOfMemory(cause)) throw toSam2Error(cause);
      if (cause instanceof Sam2Error) throw cause;
      throw (
        ifOpenedFromDisk() ??
        new Sam2Error(
          "NETWORK",
          "The wasm module could not be started. Check that its file (…_bg.wasm) is served beside its script, or say by " +
            "wasmUrl where it is, and that the page's script-src policy has 'wasm-unsafe-eval'.",
          { cause },
        )
      );
    }
  }

  #onGlobalError = (event: Event) => {
    const thrown = (event as ErrorEvent).error ?? (event as PromiseRejectionEvent).reason;
    // A trap of some other module while we are idle is not ours.
    if (this.#busy && isTrap(thrown)) this.#die(thrown);
  };

  /** The instance has stopped in the middle of something. */
  #die(cause: Error): Sam2Error {
    this.#trapped = true;
    const full = (this.#memory?.buffer.byteLength ?? 0) > NEARLY_FULL_BYTES;
    return this.#stop(
      full || isOutOfMemory(cause)
        ? new Sam2Error(
            "OUT_OF_MEMORY",
            "The model ran out of memory. Call reload, or load again with a smaller model or picture.",
            { cause },
          )
        : new Sam2Error(
            "INTERNAL",
            `The engine stopped on a fault of its own (${cause.message}). Call reload, or load again.`,
            { cause },
          ),
    );
  }

  /** Nothing can be computed any more. The first reason is the cause; later ones follow from it. */
  #stop(reason: Sam2Error): Sam2Error {
    this.#fatal ??= reason;
    for (const reject of this.#rejects) reject(this.#fatal);
    this.#tellLost(toPlain(this.#fatal));
    return this.#fatal;
  }
}

/** What the wasm tells of its device, which cannot be used any more then; not what the browser tells of a picture. */
function isOfTheDevice(thrown: unknown): boolean {
  if (thrown instanceof Sam2Error) return false;
  const code = (thrown as { code?: unknown } | undefined)?.code;
  return code === "DEVICE_LOST" || code === "OUT_OF_MEMORY";
}

export function bytesOf({ buffer, byteOffset, byteLength }: Uint8ClampedArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The picture of a call that failed: nobody else holds it. */
function discard(args: unknown): void {
  const { picture } = (args ?? {}) as { picture?: FramePicture };
  if (picture) closePicture(picture);
}
