"""BasicSR's own option files load; keys that nothing reads give a notice, those that matter are refused."""

from __future__ import annotations

import logging

import pytest

from sr_kd.errors import UsageError
from sr_kd.recipes.check import check_file, check_test_file
from sr_kd.recipes.load import load_recipe, parse_test, read_options

TRAINING = """\
# general settings
name: 201_EDSR_Mx2_f64b16_DIV2K_300k_B16G1_wandb
model_type: SRModel
scale: 2
num_gpu: 1  # set num_gpu: 0 for cpu mode
manual_seed: 10

# dataset and data loader settings
datasets:
  train:
    name: DIV2K
    type: PairedImageDataset
    dataroot_gt: datasets/DIV2K/DIV2K_train_HR_sub
    dataroot_lq: datasets/DIV2K/DIV2K_train_LR_bicubic/X2_sub
    # (for lmdb)
    # dataroot_gt: datasets/DIV2K/DIV2K_train_HR_sub.lmdb
    filename_tmpl: '{}'
    io_backend:
      type: disk

    gt_size: 96
    use_hflip: true
    use_rot: true

    # data loader
    use_shuffle: true
    num_worker_per_gpu: 6
    batch_size_per_gpu: 16
    dataset_enlarge_ratio: 100
    prefetch_mode: ~

  val:
    name: Set5
    type: PairedImageDataset
    dataroot_gt: datasets/Set5/GTmod12
    dataroot_lq: datasets/Set5/LRbicx2
    io_backend:
      type: disk

# network structures
network_g:
  type: EDSR
  num_in_ch: 3
  num_out_ch: 3
  num_feat: 64
  num_block: 16
  upscale: 2
  res_scale: 1
  img_range: 255.
  rgb_mean: [0.4488, 0.4371, 0.4040]

# path
path:
  pretrain_network_g: ~
  strict_load_g: true
  resume_state: ~

# training settings
train:
  ema_decay: 0.999
  optim_g:
    type: Adam
    lr: !!float 1e-4
    weight_decay: 0
    betas: [0.9, 0.99]

  scheduler:
    type: MultiStepLR
    milestones: [200000]
    gamma: 0.5

  total_iter: 300000
  warmup_iter: -1  # no warm up

  # losses
  pixel_opt:
    type: L1Loss
    loss_weight: 1.0
    reduction: mean

# validation settings
val:
  val_freq: !!float 5e3
  save_img: false

  metrics:
    psnr: # metric name, can be arbitrary
      type: calculate_psnr
      crop_border: 2
      test_y_channel: false
    ssim:
      type: calculate_ssim
      crop_border: 2
      test_y_channel: false

# logging settings
logger:
  print_freq: 100
  save_checkpoint_freq: !!float 5e3
  use_tb_logger: true
  wandb:
    project: ~
    resume_id: ~

# dist training settings
dist_params:
  backend: nccl
  port: 29500
"""
TEST = """\
name: EDSR_Mx2_f64b16_DIV2K_official
model_type: SRModel
scale: 2
num_gpu: 1
manual_seed: 0

datasets:
  test_1:  # the 1st test dataset
    name: Set5
    type: PairedImageDataset
    dataroot_gt: datasets/Set5/GTmod12
    dataroot_lq: datasets/Set5/LRbicx2
    io_backend:
      type: disk
  test_2:
    name: Set14
    type: PairedImageDataset
    dataroot_gt: datasets/Set14/GTmod12
    dataroot_lq: datasets/Set14/LRbicx2
    io_backend:
      type: disk

network_g:
  type: EDSR
  upscale: 2

path:
  pretrain_network_g: experiments/pretrained_models/EDSR/EDSR_Mx2.pth
  strict_load_g: true

val:
  save_img: true
  suffix: ~

  metrics:
    psnr:
      type: calculate_psnr
      crop_border: 2
      test_y_channel: true
"""
COSINE = "type: CosineAnnealingRestartLR\n    periods: [300000]\n    restart_weights: [1]\n    eta_min: !!float 1e-7"
MULTISTEP = "type: MultiStepLR\n    milestones: [200000]\n    gamma: 0.5"


def test_the_training_file_becomes_one_phase(write_options):
    recipe = load_recipe(write_options(TRAINING))
    assert recipe.seeds == [10]
    assert recipe.train.dataroot_lq == ["datasets/DIV2K/DIV2K_train_LR_bicubic/X2_sub"]
    assert [(images.name, images.protocol) for images in recipe.validation_sets] == [("Set5", "rgb")]
    network = recipe.networks["network_g"]
    assert (network.type, network.arguments["num_block"], network.path) == ("basicsr.EDSR", 16, None)
    (phase,) = recipe.phases.values()
    assert (phase.trains, phase.total_iter, phase.warmup_iter, phase.ema_decay) == ("network_g", 300_000, 0, 0.999)
    assert (phase.optim.lr, phase.optim.betas) == (1e-4, (0.9, 0.99))
    assert (phase.scheduler.type, phase.scheduler.milestones, phase.scheduler.gamma) == ("multistep", [200_000], 0.5)
    assert [(loss.type, loss.weight, loss.options) for loss in phase.losses] == [("L1", 1.0, {})]
    assert (recipe.val.val_freq, recipe.val.metrics, recipe.logger.save_checkpoint_freq) == (
        5000,
        ["psnr", "ssim"],
        5000,
    )


def test_every_key_that_nothing_reads_gives_one_notice_with_its_line(write_options, caplog):
    """Those that are null ask for nothing."""
    path = write_options(TRAINING)
    with caplog.at_level(logging.WARNING, logger="sr_kd"):
        load_recipe(path)
    notices = [record.getMessage() for record in caplog.records]
    named = [notice.split("'")[1] for notice in notices]
    assert sorted(named) == sorted(
        ["model_type", "num_gpu", "dist_params", "logger.wandb"]
        + [f"datasets.train.{key}" for key in ("use_shuffle", "dataset_enlarge_ratio")]
    )
    assert notices[0] == f"{path}:3: key 'model_type' is read by nothing here and was ignored"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (COSINE, {"type": "cosine", "eta_min": 1e-7}),
        ("type: MultiStepRestartLR\n    milestones: [10]", {"type": "multistep", "milestones": [10], "gamma": 0.1}),
    ],
)
def test_schedulers_become_ours(write_options, written, expected):
    recipe = load_recipe(write_options(TRAINING, (MULTISTEP, written)))
    assert recipe.phases["train"].scheduler.model_dump(include=set(expected)) == expected


@pytest.mark.parametrize(("given", "momentum"), [("", 0.0), ("    momentum: 0.8\n", 0.8)])
def test_sgd_has_the_momentum_that_basicsr_gives_it(write_options, given, momentum):
    adam = "    type: Adam\n    lr: !!float 1e-4\n    weight_decay: 0\n    betas: [0.9, 0.99]\n"
    sgd = f"    type: SGD\n    lr: 0.1\n{given}"
    assert load_recipe(write_options(TRAINING, (adam, sgd))).phases["train"].optim.momentum == momentum


@pytest.mark.parametrize(
    ("written", "kind", "options"),
    [
        ("type: MSELoss", "L2", {}),
        ("type: CharbonnierLoss", "Charbonnier", {"eps": 1e-6}),
        ("type: CharbonnierLoss\n    eps: !!float 1e-6", "Charbonnier", {"eps": 1e-3}),
    ],
)
def test_pixel_losses_become_ours(write_options, written, kind, options):
    """BasicSR's Charbonnier is sqrt(d^2 + eps), ours sqrt(d^2 + eps^2)."""
    (loss,) = load_recipe(write_options(TRAINING, ("type: L1Loss", written))).phases["train"].losses
    assert (loss.type, loss.weight) == (kind, 1.0)
    assert loss.options == pytest.approx(options)


def test_luma_metrics_choose_basicsrs_protocol_unless_a_set_names_one(write_options):
    recipe = load_recipe(
        write_options(
            TRAINING,
            ("test_y_channel: false", "test_y_channel: true"),
            ("# network structures", "  val_2: {name: Set14, dataroot_gt: a, protocol: rgb8}"),
        )
    )
    assert [images.protocol for images in recipe.validation_sets] == ["basicsr", "rgb8"]


def test_pretrained_weights_belong_to_the_network(write_options):
    recipe = load_recipe(write_options(TRAINING, ("pretrain_network_g: ~", "pretrain_network_g: a.pth")))
    assert recipe.networks["network_g"].path == "a.pth"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("  ema_decay", "  ema_dcay", "key 'train.ema_dcay' is unknown (did you mean 'ema_decay'?); allowed:"),
        ("use_rot", "user_rot", "key 'datasets.train.user_rot' is unknown (did you mean 'use_rot'?)"),
        ("  lr: !!float 1e-4", "  lr: fast", "key 'train.optim_g.lr' must be a number; found 'fast'"),
        ("loss_weight: 1.0", "loss_weight: a", "key 'train.pixel_opt.loss_weight' must be a number or a mapping"),
        ("reduction: mean", "reduction: sum", "key 'train.pixel_opt.reduction' must be 'mean'"),
        ("type: L1Loss", "type: L1Los", "key 'train.pixel_opt.type' is 'L1Los' (did you mean 'L1Loss'?)"),
        (
            "# network structures",
            "network_d: {type: VGG}",
            "key 'network_d' cannot be honored: a discriminator belongs to",
        ),
        (
            "  # losses",
            "  gan_opt: {type: GANLoss}",
            "key 'train.gan_opt' cannot be honored: a discriminator belongs to",
        ),
        ("  # losses", "  perceptual_opt: {a: 1}", "key 'train.perceptual_opt' cannot be honored"),
        (
            "type: PairedImageDataset",
            "type: RealESRGANDataset",
            "key 'datasets.train.type' is 'RealESRGANDataset'",
        ),
        ("type: calculate_ssim", "type: calculate_fid", "key 'val.metrics.ssim.type' is 'calculate_fid'; allowed"),
        ("type: disk", "type: memcached", "key 'datasets.train.io_backend.type' must be 'disk' or 'lmdb'"),
    ],
)
def test_what_matters_and_cannot_be_honored_is_refused(write_options, old, new, sentence):
    text = TRAINING.replace(old, new, 1)
    path = write_options(text)
    with pytest.raises(UsageError) as refused:
        load_recipe(path)
    line = text[: text.index(new)].count("\n") + 1
    assert f"{path}:{line}: {sentence}" in str(refused.value)


def test_the_two_layouts_are_not_mixed(write_options):
    path = write_options(TRAINING, ("# training settings", "phases: {}"))
    with pytest.raises(UsageError, match=r":59: key 'train' belongs to BasicSR's layout, and 'phases' to ours"):
        load_recipe(path)


def test_restarts_of_the_cosine_are_kept(write_options):
    written = COSINE.replace("[300000]", "[250000, 50000]").replace("[1]", "[1, 0.5]")
    scheduler = load_recipe(write_options(TRAINING, (MULTISTEP, written))).phases["train"].scheduler
    assert (scheduler.periods, scheduler.restart_weights, scheduler.eta_min) == ([250_000, 50_000], [1, 0.5], 1e-7)
    with pytest.raises(
        UsageError, match=r"scheduler.restart_weights' must be a list with one weight for each of the 2"
    ):
        load_recipe(write_options(TRAINING, (MULTISTEP, written.replace("[1, 0.5]", "[1]"))))


def test_a_state_to_continue_from_is_refused_with_the_way_that_works(write_options):
    path = write_options(TRAINING, ("resume_state: ~", "resume_state: experiments/a/training_states/5000.state"))
    with pytest.raises(UsageError, match=r"key 'path.resume_state' cannot be honored: .* --auto_resume"):
        load_recipe(path)


@pytest.mark.parametrize("key", ["params", "params_ema"])
def test_the_chosen_weights_are_those_of_the_file(write_options, key):
    chosen = ("  strict_load_g: true", f"  strict_load_g: true\n  param_key_g: {key}")
    assert parse_test(read_options(write_options(TEST, chosen)))[0].param_key == key
    assert load_recipe(write_options(TRAINING, chosen)).networks["network_g"].param_key == key


@pytest.mark.parametrize("text", [TRAINING, TEST])
def test_a_missing_scale_is_no_two(write_options, text):
    with pytest.raises(UsageError, match="key 'scale' is missing"):
        check_file(write_options(text, ("\nscale: 2\n", "\n")))


def test_a_network_without_a_type_is_named_as_written(write_options):
    path = write_options(TRAINING, ("  type: EDSR\n", ""))
    with pytest.raises(UsageError, match=rf"^{path}:41: key 'network_g.type' is missing$"):
        load_recipe(path)


def test_a_border_other_than_the_scale_is_pointed_out(write_options, caplog):
    load_recipe(write_options(TRAINING, ("crop_border: 2", "crop_border: 4")))
    assert "key 'val.metrics.psnr.crop_border' is 4, but every protocol here crops the scale, 2" in caplog.text


def test_the_test_file_becomes_one_model(write_options, caplog):
    recipe = parse_test(read_options(write_options(TEST)))[0]
    assert recipe.models == {recipe.name: "experiments/pretrained_models/EDSR/EDSR_Mx2.pth"}
    assert [(images.name, images.protocol) for images in recipe.sets] == [("Set5", "basicsr"), ("Set14", "basicsr")]
    assert recipe.save_img
    assert "key 'network_g' was ignored" in caplog.text


def test_a_test_file_without_weights_is_refused(write_options):
    path = write_options(TEST, ("  pretrain_network_g: experiments/pretrained_models/EDSR/EDSR_Mx2.pth\n", ""))
    with pytest.raises(UsageError, match=r"key 'path.pretrain_network_g' is missing"):
        check_test_file(path, data=False)
