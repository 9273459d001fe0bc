//! The compressed masks of frames whose results a video session no longer keeps.

use std::collections::BTreeMap;

use crate::Mask;

/// An object's mask on a frame whose logits and memory are no longer kept.
#[derive(Clone, Debug)]
pub(crate) struct PastMask {
    /// The mask as COCO's compressed run lengths, in the video's size.
    runs: Box<str>,
    iou: f32,
    /// A logit that is positive if the object is visible.
    pub object_score: f32,
    /// Whether the frame was prompted, so that tracking must not overwrite it.
    pub prompted: bool,
}

impl PastMask {
    pub fn new(mask: &Mask, object_score: f32, prompted: bool) -> Self {
        Self {
            runs: mask.to_rle().to_compressed().into(),
            iou: mask.score(),
            object_score,
            prompted,
        }
    }

    /// The mask, without its logits.
    pub fn to_mask(&self, width: usize, height: usize) -> Mask {
        Mask::from_compressed_rle(&self.runs, self.iou, width, height)
    }

    fn bytes(&self) -> usize {
        self.runs.len() + size_of::<(usize, Self)>()
    }
}

/// An object's past masks, by frame.
#[derive(Debug, Default)]
pub(crate) struct Past {
    masks: BTreeMap<usize, PastMask>,
    bytes: usize,
}

impl Past {
    pub fn get(&self, frame: usize) -> Option<&PastMask> {
        self.masks.get(&frame)
    }

    pub fn get_mut(&mut self, frame: usize) -> Option<&mut PastMask> {
        self.masks.get_mut(&frame)
    }

    pub fn insert(&mut self, frame: usize, mask: PastMask) {
        self.bytes += mask.bytes();
        let earlier = self.masks.insert(frame, mask);
        self.bytes -= earlier.map_or(0, |mask| mask.bytes());
    }

    pub fn remove(&mut self, frame: usize) {
        let removed = self.masks.remove(&frame);
        self.bytes -= removed.map_or(0, |mask| mask.bytes());
    }

    /// The memory of the masks on the host, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops the mask that is farthest from `frame`, except those of prompted frames. Returns false if there is none to
    /// drop.
    pub fn drop_farthest(&mut self, frame: usize) -> bool {
        let mut tracked = self
            .masks
            .iter()
            .filter(|(_, mask)| !mask.prompted)
            .map(|(at, _)| *at);
        let ends = [tracked.next(), tracked.next_back()];
        let farthest = ends.into_iter().flatten().max_by_key(|at| at.abs_diff(frame));
        farthest.inspect(|&at| self.remove(at)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(prompted: bool) -> PastMask {
        let mask = Mask::from_bits(vec![0b1001], 0.5, 2, 2);
        PastMask::new(&mask, 3.0, prompted)
    }

    #[test]
    fn a_mask_comes_back_without_its_logits() {
        let mask = past(false).to_mask(2, 2);
        assert_eq!((mask.to_bytes(), mask.score()), (vec![1, 0, 0, 1], 0.5));
    }

    #[test]
    fn the_farthest_go_first_and_prompted_ones_stay() {
        let mut masks = Past::default();
        for frame in [0, 3, 9] {
            masks.insert(frame, past(frame == 0));
        }
        let one = masks.bytes() / 3;
        assert!(masks.drop_farthest(4));
        assert!(masks.get(9).is_none());
        assert!(masks.drop_farthest(4));
        assert!(!masks.drop_farthest(4));
        assert_eq!(masks.bytes(), one);
        masks.insert(0, past(true));
        assert_eq!(masks.bytes(), one);
    }
}
