// The site's pages, in the order in which the sidebar and llms.txt list them.
const page = (path, title, says) => ({ path, title, says });

export const pages = {
  "Get started": [
    page("index.md", "What it is", "Segment Anything 2.1 in the browser, in a few lines of code"),
    page("quick-start.md", "Quick start", "from an empty folder to a mask on the screen"),
  ],
  Guide: [
    page("guide/models.md", "Models", "which model for what, sizes, your own copies"),
    page("guide/pictures.md", "Pictures", "what files and elements can be read, and how"),
    page("guide/masks.md", "Masks", "combine, grow, convert to polygons, SVG and COCO run lengths"),
    page("guide/cut-outs.md", "Cut-outs", "hard and soft edges, and their options"),
    page("guide/label-files.md", "Label files", "COCO, YOLO, labelme, indexed PNG, GeoJSON"),
    page("guide/video.md", "Video", "follow objects through clips, cameras and frames"),
    page("guide/words.md", "Objects by words", "find what words name, or what is like an example"),
    page("guide/deployment.md", "Deployment", "bundlers, servers, headers"),
    page("guide/browsers.md", "Browsers", "what is needed, and what was tested"),
    page(
      "guide/privacy.md",
      "Privacy and security",
      "what leaves the page (nothing), Content-Security-Policy",
    ),
    page("guide/performance.md", "Performance", "measured times and memory"),
    page("guide/errors.md", "Errors", "every error code and what to do"),
    page("guide/command-line.md", "On the command line", "the same models natively"),
    page("guide/comparison.md", "Comparison", "beside other libraries, with versions"),
  ],
  Recipes: [
    page("recipes/overlay.md", "Overlay", "a mask over a picture, clicks that add and take away"),
    page("recipes/hover.md", "Hover", "what is under the pointer"),
    page("recipes/cut-outs.md", "Cut-outs", "save an object as a transparent PNG"),
    page("recipes/annotate.md", "Annotate", "labels in, clicks, labels out"),
    page("recipes/everything.md", "Everything in a picture", "the automatic mask generator"),
    page("recipes/small-objects.md", "Small objects", "predict again at full resolution"),
    page("recipes/video-to-webm.md", "Video to WebM", "track an object and save the clip"),
    page("recipes/own-weights.md", "Your own weights", "fine-tuned checkpoints"),
    page("recipes/offline.md", "Offline", "download beforehand, and keep"),
    page("recipes/saved-images.md", "Saved images", "keep encoded pictures for a later visit"),
    page("recipes/frameworks.md", "React, Vue, Svelte", "hooks, a composable, an action, an element"),
    page("recipes/lost-gpu.md", "When the GPU goes", "go on after a lost device"),
  ],
};
