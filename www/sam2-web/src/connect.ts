import { fromPlain, Sam2Error } from "./errors.js";
import { ifOpenedFromDisk } from "./file-url.js";
import type { CallContext, Calls, CallTable, Connection, Reply, Request } from "./protocol.js";

interface Pending {
  context: CallContext;
  resolve(result: never): void;
  reject(error: Sam2Error): void;
  unlisten(): void;
}

/**
 * Requests with ids over `postMessage`. (Comlink would not do: when a worker dies its calls hang for ever, and an
 * error's code does not cross.)
 */
export function connectWorker<C extends CallTable<keyof C & string> = Calls>(
  worker: Worker,
  remedy = "Call Sam2.load again.",
): Connection<C> {
  const pending = new Map<number, Pending>();
  let nextId = 1;
  let heard = false;
  let dead: Sam2Error | undefined;

  worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => {
    heard = true;
    const call = pending.get(data.id);
    if (!call) return;
    if ("progress" in data) {
      call.context.onProgress?.(data.progress);
      return;
    }
    pending.delete(data.id);
    call.unlisten();
    if ("error" in data) call.reject(fromPlain(data.error));
    else call.resolve(data.result as never);
  });

  const die = (error: Sam2Error) => {
    dead ??= error;
    worker.terminate();
    for (const call of pending.values()) call.reject(dead);
    pending.clear();
  };
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    die(
      heard
        ? new Sam2Error("INTERNAL", `The worker failed: ${event.message}. ${remedy}`)
        : (ifOpenedFromDisk() ??
            new Sam2Error(
              "NETWORK",
              "The worker could not be started. Check that its script is served (if the bundler does not do that, say by " +
                "workerUrl where it is) and that the worker-src policy allows it." +
                `${event.message ? ` (${event.message})` : ""}`,
            )),
    );
  });
  worker.addEventListener("messageerror", () => {
    die(new Sam2Error("INTERNAL", `A message from the worker could not be read. ${remedy}`));
  });

  return {
    call(method, args, context = {}, transfer = []) {
      return new Promise((resolve, reject) => {
        if (dead) return reject(dead);
        const id = nextId++;
        try {
          worker.postMessage({ id, method, args } satisfies Request, transfer);
        } catch (cause) {
          reject(
            new Sam2Error(
              "UNSUPPORTED_INPUT",
              `What was passed cannot be sent to the worker (${(cause as Error).message}). Pass plain data: not a ` +
                "framework's proxy, nor a buffer or picture that was handed over before.",
              { cause },
            ),
          );
          return;
        }
        // The worker drops the call if it has not begun; otherwise its result comes and is discarded.
        const abort = () => worker.postMessage({ id, abort: true } satisfies Request);
        const { signal } = context;
        signal?.addEventListener("abort", abort);
        const unlisten = () => signal?.removeEventListener("abort", abort);
        pending.set(id, { context, resolve, reject, unlisten });
      });
    },
    close() {
      dead ??= new Sam2Error("DISPOSED", "The model has been disposed of.");
      worker.terminate();
      pending.clear();
    },
  };
}
