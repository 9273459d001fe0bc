import { toPlain, toSam2Error } from "./errors.js";
import type { CallContext, Reply, Request } from "./protocol.js";

/** A worker's own side of its messages. */
export type Port = Pick<Worker, "postMessage" | "onmessage">;

/** The worker's side of {@link connectWorker}: `answer` answers messages. `moved` of a result is not copied. */
export function serve(
  answer: (method: never, args: never, context: CallContext) => Promise<unknown>,
  moved: (result: never) => Transferable[],
  port: Port = self as never,
): void {
  const running = new Map<number, AbortController>();

  port.onmessage = async ({ data }: MessageEvent<Request>) => {
    const { id } = data;
    if ("abort" in data) {
      running.get(id)?.abort();
      return;
    }
    const controller = new AbortController();
    running.set(id, controller);
    const reply = (message: Reply, transfer: Transferable[] = []) => port.postMessage(message, transfer);
    try {
      const result = await answer(data.method as never, data.args as never, {
        signal: controller.signal,
        onProgress: (progress) => reply({ id, progress }),
      });
      reply({ id, result }, moved(result as never));
    } catch (thrown) {
      reply({ id, error: toPlain(toSam2Error(thrown)) });
    } finally {
      running.delete(id);
    }
  };
}
