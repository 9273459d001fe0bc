//! What follows from a mask's run lengths alone.

use std::ops::Range;

use sam2_predict::Rle;

use crate::Size;

/// The runs of set pixels, counted down the columns from left to right. Those of no length are left out.
pub fn runs(mask: &Rle) -> impl Iterator<Item = Range<usize>> {
    let mut end = 0;
    let runs = mask.counts().iter().enumerate().map(move |(i, &count)| {
        let run = end..end + count as usize;
        end = run.end;
        (i, run)
    });
    runs.filter(|(i, run)| i % 2 == 1 && !run.is_empty())
        .map(|(_, run)| run)
}

/// The mask of runs as [`runs`] gives them, in any order; they may lie over one another.
pub fn of_runs(size: Size, mut set: Vec<Range<usize>>) -> Rle {
    set.retain(|run| !run.is_empty());
    set.sort_unstable_by_key(|run| run.start);
    // Where pixels that are set begin and end.
    let mut changes: Vec<usize> = Vec::with_capacity(2 * set.len() + 1);
    for run in set {
        match changes.last_mut() {
            Some(end) if run.start <= *end => *end = run.end.max(*end),
            _ => changes.extend([run.start, run.end]),
        }
    }
    let (width, height) = (size.width(), size.height());
    if changes.last() != Some(&(width * height)) {
        changes.push(width * height);
    }
    let starts = [0].into_iter().chain(changes.iter().copied());
    let counts = starts.zip(&changes).map(|(start, &at)| (at - start) as u32);
    Rle::new(width, height, counts.collect()).expect("the last run goes up to the size")
}

/// What is in any of the masks, which are of one size and at least one.
pub fn union(masks: &[&Rle]) -> Rle {
    of_runs(
        Size::of(masks[0]),
        masks.iter().flat_map(|mask| runs(mask)).collect(),
    )
}

/// Pixels on the object.
pub fn area(mask: &Rle) -> usize {
    runs(mask).map(|run| run.len()).sum()
}

/// The smallest box `[left, top, right, bottom]` around the object, the last pixels included; none for an empty mask.
pub fn bounding_box(mask: &Rle) -> Option<[usize; 4]> {
    let height = mask.height();
    runs(mask)
        .map(|run| {
            let (left, right) = (run.start / height, (run.end - 1) / height);
            // A run that goes on in the next column is in the last row, and in the first.
            match left == right {
                true => [left, run.start % height, right, (run.end - 1) % height],
                false => [left, 0, right, height - 1],
            }
        })
        .reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])])
}
