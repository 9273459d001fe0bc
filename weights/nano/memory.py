"""Start values for the memory: attend to the same place and the same look, and bring the mask along.

With PyTorch's start values the memory is noise, and to learn that a pixel should look at its like in the frames before
takes a long training. Here it is so from the beginning; all of it is trained afterwards.
"""
import torch

# What takes part in video only.
PARTS = ("memory_attention", "memory_encoder", "maskmem_tpos_enc", "no_mem_pos_enc", "no_obj_ptr", "no_obj_embed_spatial", "obj_ptr", "mask_downsample")
# These take in features and masks of large scale, and large steps would undo their start values: they get a tenth of the rate.
SLOW = {"memory_encoder": 0.1, "mask_downsample": 0.1}
LOOK = 16  # memory channels for what a cell looks like; the others are for the mask
SAME_LOOK, SAME_PLACE, MASK = 6.0, 7.0, 2.0  # attention logits of a cell's like and of its place; size of the mask's trace
GAIN = 2.0  # a mask's edge cells and blurred attention give less than +-MASK


def regress(x, y):
    """Linear map and bias from rows of x to rows of y, least squares."""
    ones = torch.cat([x, torch.ones(len(x), 1)], 1)
    solution = torch.linalg.lstsq(ones, y).solution
    return solution[:-1].T, solution[-1]


@torch.no_grad()
def begin_well(model, pictures):
    """`pictures`: some normalised (B,3,S,S)."""
    out = model.forward_image(pictures)
    _, features, positions, _ = model._prepare_backbone_features(out)
    flat = features[-1].transpose(0, 1).reshape(-1, model.hidden_dim)
    start = (features[-1] + 0.1 * positions[-1]).transpose(0, 1).reshape(-1, model.hidden_dim)
    unit = torch.nn.functional.layer_norm(start, start.shape[1:])

    # The mask that is prompted goes in as logits of +-10.
    model.mask_downsample.weight.fill_(20 / 16)
    model.mask_downsample.bias.fill_(-10)

    # The attention's last norm: back to the features that the decoder knows.
    attention = model.memory_attention
    goal = flat + model.no_mem_embed[0]
    weight = ((unit - unit.mean(0)) * (goal - goal.mean(0))).mean(0) / unit.var(0)
    attention.norm.weight.copy_(weight)
    attention.norm.bias.copy_(goal.mean(0) - weight * unit.mean(0))

    # Memory channels: the principal directions of the features, whitened, and some of the least for the mask.
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    look = vectors[:, -LOOK:].T / values[-LOOK:, None].clamp(min=0.1 * float(values.mean())).sqrt() * 2
    trace = vectors[:, : model.mem_dim - LOOK].T
    encoder = model.memory_encoder
    encoder.pix_feat_proj.weight.copy_(torch.eye(model.hidden_dim)[..., None, None])
    encoder.pix_feat_proj.bias.zero_()
    last = encoder.mask_downsampler.encoder[-1]
    last.weight.copy_((trace.T @ trace @ last.weight[..., 0, 0])[..., None, None])
    last.bias.copy_(trace.T @ trace @ last.bias)
    encoder.out_proj.weight.copy_(torch.cat([look, trace])[..., None, None])
    encoder.out_proj.bias.copy_(torch.cat([-look @ mean, -trace @ mean]))
    # Inside and outside of a mask as memories see them: made +-MASK apart.
    size = pictures.shape[-1]
    inside, outside = (encoder.mask_downsampler(torch.full((1, 1, size, size), v))[0, :, 4, 4] @ trace.T for v in (10.0, -10.0))
    scale = 2 * MASK / (inside - outside).norm()
    last.weight.mul_(scale)
    last.bias.mul_(scale).sub_(trace.T @ (inside + outside) / 2 * scale)
    apart = (inside - outside) / (inside - outside).norm()

    # What a mask prompt adds to the features inside and outside, as the decoder knows it.
    prompt = model.sam_prompt_encoder
    middle = prompt.mask_input_size[0] // 8
    adds = []
    for v in (10.0, -10.0):
        dense = prompt._embed_masks(torch.full((1, 1, *prompt.mask_input_size), v))[0, :, middle, middle]
        adds.append((dense - prompt.no_mask_embed.weight[0]) * start.std(1).mean() / weight)
    half = [(adds[0] - adds[1]) / 2, (adds[0] + adds[1]) / 2]

    target, bias = regress(unit, (flat - mean) @ look.T / 2)
    for layer in attention.layers:
        layer.self_attn.out_proj.weight.mul_(0.1)
        layer.linear2.weight.mul_(0.1)
        cross = layer.cross_attn_image
        for projection in (cross.q_proj, cross.k_proj, cross.v_proj):
            projection.weight.mul_(0.2)
        # Rotary pairs: a quick frequency tells places apart, a slow one leaves the look as it is.
        dim, pairs = cross.q_proj.weight.shape[0], cross.q_proj.weight.shape[0] // 4
        quick = [4 * i // 2 for i in range(10)] + [2 * (pairs + i) for i in range(10)]
        slow = ([2 * i + j for i in range(pairs - 6, pairs) for j in (0, 1)] + [2 * (pairs + i) + j for i in range(pairs - 6, pairs) for j in (0, 1)])[:LOOK]
        root = dim**0.25
        content = (SAME_LOOK / LOOK) ** 0.5 * root
        cross.q_proj.weight[slow] = content * target
        cross.q_proj.bias[slow] = content * bias
        cross.k_proj.weight[slow] = 0
        cross.k_proj.weight[slow, range(LOOK)] = content / 2
        cross.k_proj.bias[slow] = 0
        for projection in (cross.q_proj, cross.k_proj):
            projection.weight[quick] = 0
            projection.bias[quick] = (SAME_PLACE / len(quick)) ** 0.5 * root
        # Values: in the last layer the mask's trace becomes a mask prompt's.
        cross.out_proj.weight.mul_(0.1)
        cross.v_proj.weight[0] = 0
        cross.v_proj.weight[0, LOOK:] = apart / MASK
        cross.v_proj.bias[0] = 0
        shown = 1.0 if layer is attention.layers[-1] else 0.0
        cross.out_proj.weight[:, 0] = GAIN * shown * half[0]
        cross.out_proj.bias.copy_(shown * half[1])
