"""The model's configuration: parakeet-tdt-0.6b's, key for key, with small dimensions.

Source: NeMo's examples/asr/conf/fastconformer/hybrid_transducer_ctc and the configuration inside parakeet-tdt-0.6b-v2.
"""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

DURATIONS = (0, 1, 2, 3, 4)
"""Encoder frames a TDT step may advance by."""
FRAME_SECONDS = 0.08
"""One encoder frame: 10 ms features, subsampled eight times."""
VOCABULARY_SIZE = 256
"""BPE pieces: most words are one piece, some are several, punctuation stands alone."""
SIGMA = 0.02
"""TDT's logit under-normalisation (arXiv 2304.06795, section 3.3), as in Parakeet."""

_MELS = 128
_LAYERS = 4
_MODEL_WIDTH = 112
_HEADS = 4
_SUBSAMPLING_CHANNELS = 32
_PREDICTOR_WIDTH = 96
_JOINT_WIDTH = 128
_DROPOUT = 0.05


def parakeet_config(tokenizer: Path) -> DictConfig:
    """Parakeet's configuration around the tokenizer in a folder."""
    return OmegaConf.create(
        {
            "sample_rate": 16000,
            "compute_eval_loss": False,
            "log_prediction": False,
            "rnnt_reduction": "mean_volume",
            "skip_nan_grad": False,
            "model_defaults": {
                "enc_hidden": _MODEL_WIDTH,
                "pred_hidden": _PREDICTOR_WIDTH,
                "joint_hidden": _JOINT_WIDTH,
                "tdt_durations": list(DURATIONS),
                "num_tdt_durations": len(DURATIONS),
            },
            "train_ds": None,
            "validation_ds": None,
            "test_ds": None,
            "tokenizer": {"dir": str(tokenizer), "type": "bpe"},
            "preprocessor": _preprocessor(),
            "spec_augment": {
                "_target_": "nemo.collections.asr.modules.SpectrogramAugmentation",
                "freq_masks": 2,
                "time_masks": 2,
                "freq_width": 16,
                "time_width": 0.03,
            },
            "encoder": _encoder(),
            "decoder": {
                "_target_": "nemo.collections.asr.modules.RNNTDecoder",
                "normalization_mode": None,
                "random_state_sampling": False,
                "blank_as_pad": True,
                "prednet": {
                    "pred_hidden": _PREDICTOR_WIDTH,
                    "pred_rnn_layers": 2,
                    "t_max": None,
                    "dropout": _DROPOUT,
                },
            },
            "joint": {
                "_target_": "nemo.collections.asr.modules.RNNTJoint",
                "log_softmax": None,
                "preserve_memory": False,
                "fuse_loss_wer": False,
                "fused_batch_size": 4,
                "jointnet": {
                    "joint_hidden": _JOINT_WIDTH,
                    "activation": "relu",
                    "dropout": 0.0,  # a tenth of each step's time, for [batch, frames, labels, width] random numbers
                    "encoder_hidden": _MODEL_WIDTH,
                    "pred_hidden": _PREDICTOR_WIDTH,
                },
                "num_extra_outputs": len(DURATIONS),
            },
            "decoding": {
                "strategy": "greedy_batch",
                "model_type": "tdt",
                "durations": list(DURATIONS),
                "greedy": {"max_symbols": 10},
                "beam": {"beam_size": 2, "return_best_hypothesis": False, "score_norm": True},
            },
            "loss": {
                "loss_name": "tdt",
                "tdt_kwargs": {
                    "fastemit_lambda": 0.0,
                    "clamp": -1.0,
                    "durations": list(DURATIONS),
                    "sigma": SIGMA,
                    "omega": 0.1,
                },
            },
            "optim": {"name": "adamw", "lr": 1e-3},
        }
    )


def _preprocessor() -> dict[str, object]:
    return {
        "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
        "sample_rate": 16000,
        "normalize": "per_feature",
        "window_size": 0.025,
        "window_stride": 0.01,
        "window": "hann",
        "features": _MELS,
        "n_fft": 512,
        "log": True,
        "frame_splicing": 1,
        "dither": 1e-5,
        "pad_to": 0,
        "pad_value": 0.0,
    }


def _encoder() -> dict[str, object]:
    return {
        "_target_": "nemo.collections.asr.modules.ConformerEncoder",
        "feat_in": _MELS,
        "feat_out": -1,
        "n_layers": _LAYERS,
        "d_model": _MODEL_WIDTH,
        "use_bias": False,
        "subsampling": "dw_striding",
        "subsampling_factor": 8,
        "subsampling_conv_channels": _SUBSAMPLING_CHANNELS,
        "causal_downsampling": False,
        "reduction": None,
        "reduction_position": None,
        "reduction_factor": 1,
        "ff_expansion_factor": 4,
        "self_attention_model": "rel_pos",
        "n_heads": _HEADS,
        "att_context_size": [-1, -1],
        "att_context_style": "regular",
        "xscaling": False,
        "untie_biases": True,
        "pos_emb_max_len": 5000,
        "conv_kernel_size": 9,
        "conv_norm_type": "batch_norm",
        "conv_context_size": None,
        "dropout": _DROPOUT,
        "dropout_pre_encoder": _DROPOUT,
        "dropout_emb": 0.0,
        "dropout_att": _DROPOUT,
        "stochastic_depth_drop_prob": 0.0,
        "stochastic_depth_mode": "linear",
        "stochastic_depth_start_layer": 1,
    }
