//! The choice among the decoder's masks.

use burn::tensor::{Bool, Int, Tensor};

use crate::{Choice, Hidden, Stability};

pub fn choose(masks: Tensor<3>, ious: Tensor<2>, stability: Option<Stability>) -> Choice {
    let [b, n, pixels] = masks.dims();
    let candidates = ious.clone().narrow(1, 1, n - 1);
    let best: Tensor<2, Int> = candidates.argmax(1) + 1;
    let best_iou = ious.clone().gather(1, best.clone());
    let (mut number, mut iou) = (best.float(), best_iou);
    if let Some(stability) = stability {
        let stable = is_stable(masks.narrow(1, 0, 1).reshape([b, pixels]), stability);
        number = number.mask_fill(stable.clone(), 0.0);
        iou = iou.mask_where(stable, ious.narrow(1, 0, 1));
    }
    Choice {
        numbers_and_ious: Tensor::cat(vec![number, iou], 1),
    }
}

/// Whether masks `[b, pixels]` are stable, `[b, 1]`. A mask without a pixel above `-delta` is stable.
fn is_stable(logits: Tensor<2>, stability: Stability) -> Tensor<2, Bool> {
    let area = |threshold: f32| logits.clone().greater_elem(threshold).float().sum_dim(1);
    let inside = area(stability.delta);
    let union = area(-stability.delta);
    // A product instead of a quotient makes an empty union stable (0 >= 0) without a case of its own.
    inside.greater_equal(union * stability.threshold)
}

pub fn pick(values: Tensor<3>, choice: Option<&Choice>, hidden: Option<Hidden>) -> Tensor<2> {
    let [b, _, p] = values.dims();
    let picked: Tensor<2> = match choice {
        Some(choice) => {
            let number = choice.numbers_and_ious.clone().narrow(1, 0, 1).int();
            values
                .gather(1, number.reshape([b, 1, 1]).expand([b, 1, p]))
                .reshape([b, p])
        }
        None => values.narrow(1, 0, 1).reshape([b, p]),
    };
    let Some(hidden) = hidden else {
        return picked;
    };
    let q = hidden.instead.dims()[0];
    let instead: Tensor<2> = match q {
        1 => hidden.instead.reshape([1, 1]).expand([b, p]),
        q => hidden.instead.repeat(&[p / q]).reshape([1, p]).expand([b, p]),
    };
    let is_gone = hidden.object_score_logits.lower_equal_elem(0.0).expand([b, p]);
    picked.mask_where(is_gone, instead)
}
