import type { IncomingMessage, ServerResponse } from "node:http";

export class BadServer {
  /** What it was asked, oldest first. */
  requests: { url: string; way: string; range: string | undefined }[];
  constructor(file: (name: string) => Promise<Buffer>);
  answer(request: IncomingMessage, response: ServerResponse, prefix: string): Promise<unknown>;
}
