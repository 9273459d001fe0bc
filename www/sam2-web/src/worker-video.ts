import { serve } from "./serve.js";
import { type FileCalls, VideoFile } from "./video-file.js";

const file = new VideoFile();
serve(
  (method, args, context) => file.call(method, args, context),
  (result: FileCalls[keyof FileCalls]["result"]) => {
    if ("timestamps" in result) return [result.timestamps.buffer];
    return ["data" in result ? result.data.buffer : result];
  },
);
