import { readDeepPicture } from "./deep-picture.js";
import type { PictureCalls } from "./deep-picture-source.js";
import { serve } from "./serve.js";

serve(
  (_method, { file, range }: PictureCalls["read"]["args"]) => readDeepPicture(file, range),
  (picture: PictureCalls["read"]["result"]) => (picture ? [picture.data.buffer] : []),
);
