"""Separate: a mix into stems, by demucs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import ConfigDict, Field, model_validator

from audiojob_types.base import cel
from audiojob_types.descriptor import (
    AttemptSize,
    ImageFamily,
    Input,
    Output,
    Reuse,
    Served,
    TaskDescriptor,
    TaskParameters,
)

# Names only, from this list: demucs itself accepts paths and hub names, which would be code of the user's choice.
# mdx_q and mdx_extra_q are not in it: what unpacks their weights (diffq) may not be used commercially.
Model = Literal[
    "htdemucs",
    "htdemucs_ft",
    "htdemucs_6s",
    "hdemucs_mmi",
    "mdx",
    "mdx_extra",
    "repro_mdx_a",
    "repro_mdx_a_hybrid_only",
    "repro_mdx_a_time_only",
    "demucs_unittest",
    "audiojob_proof",
]
Preset = Literal["Fast", "Balanced", "Best"]
Stems = Literal["AllStems", "TwoStems", "FourStems", "SixStems"]
StemName = Literal["vocals", "accompaniment", "drums", "bass", "other", "guitar", "piano", "tonal", "percussive"]
StemFormat = Literal["wav", "flac", "mp3", "ogg"]
BitDepth = Literal["Int16", "Int24", "Float32"]
SampleRate = Literal[16_000, 22_050, 44_100, 48_000]
Precision = Literal["Full", "Mixed"]

SIX_STEM_MODEL: Final = "htdemucs_6s"
PROOF_MODEL: Final = "audiojob_proof"
# What a preset stands for. Fast takes 0.8 and Best about 12 times as long as Balanced.
PRESETS: Final[dict[str, dict[str, Any]]] = {
    "Fast": {"model": "htdemucs", "shifts": 0, "overlapPercent": 10},
    "Balanced": {"model": "htdemucs", "shifts": 0, "overlapPercent": 25},
    "Best": {"model": "htdemucs_ft", "shifts": 2, "overlapPercent": 50},
}
_STEMS: Final[dict[Stems, tuple[StemName, ...]]] = {
    "TwoStems": ("vocals", "accompaniment"),
    "FourStems": ("vocals", "drums", "bass", "other"),
    "SixStems": ("vocals", "drums", "bass", "other", "guitar", "piano"),
}
# The best that each format holds; MP3 and Ogg have none.
_BIT_DEPTHS: Final[dict[StemFormat, BitDepth]] = {"wav": "Float32", "flac": "Int24"}
_SIX_STEMS_RULE: Final = (
    "!has(self.stems) || self.stems != 'SixStems' || (has(self.model) ? self.model == 'htdemucs_6s' : has(self.preset))"
)


def expand_preset(layer: Mapping[str, Any]) -> dict[str, Any]:
    """One layer of parameters, in JSON form, with its preset's fields filled in. The layer's own fields win."""
    values = dict(layer)
    filled = {**PRESETS.get(str(values.get("preset")), {}), **values}
    if "preset" in values and "model" not in values and values.get("stems") == "SixStems":
        filled["model"] = SIX_STEM_MODEL
    return filled


class SeparateParameters(TaskParameters):
    """How to separate. Stems are stereo and exactly as long as the input."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                (
                    _SIX_STEMS_RULE,
                    "stems: SixStems needs model: htdemucs_6s, the only model with six stems",
                ),
                (
                    "!has(self.bitDepth) || self.bitDepth != 'Float32' || (has(self.format) && self.format == 'wav')",
                    "bitDepth: Float32 needs format: wav; flac holds Int16 and Int24",
                ),
                (
                    "!has(self.bitDepth) || !has(self.format) || !(self.format in ['mp3', 'ogg'])",
                    "bitDepth needs format: wav or format: flac; mp3 and ogg have none",
                ),
            )
        }
    )

    preset: (
        Annotated[
            Preset,
            Field(
                description="preset sets model, shifts and overlapPercent by intent: Fast (htdemucs, 0, 10), Balanced "
                "(htdemucs, 0, 25: as without a preset) or Best (htdemucs_ft, 2, 50: about 12 times as long). These "
                "fields win where they are given beside it."
            ),
        ]
        | None
    ) = None
    model: Annotated[
        Model,
        Field(
            description="model is the demucs model. demucs_unittest is demucs' own untrained network: it needs no "
            "weights and its stems mean nothing. audiojob_proof is a tiny model of two stems, tonal and percussive. "
            "Both are for trying out the system. Default htdemucs."
        ),
    ] = "htdemucs"
    stems: Annotated[
        Stems,
        Field(
            description="stems is TwoStems (vocals, accompaniment), FourStems (vocals, drums, bass, other), SixStems "
            "(and guitar, piano) or AllStems (whatever the model has). Default FourStems; of a model with two stems, "
            "these two."
        ),
    ] = "FourStems"
    keep: Annotated[
        tuple[StemName, ...],
        Field(
            max_length=9,
            description="keep lists the stems to write, such as [vocals]. Default all.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()
    format: Annotated[
        StemFormat,
        Field(
            description="format of the stem files: flac and wav lose nothing, mp3 has 320 kbit/s, ogg is Vorbis. "
            "Default flac."
        ),
    ] = "flac"
    bit_depth: (
        Annotated[
            BitDepth,
            Field(
                description="bitDepth of wav (Int16, Int24, Float32) or flac (Int16, Int24). Only Float32 holds "
                "samples beyond full scale. Default Float32 for wav, Int24 for flac."
            ),
        ]
        | None
    ) = None
    sample_rate: Annotated[
        SampleRate,
        Field(
            description="sampleRate of the stems in Hz; the models work at 44100. Default 44100.",
            json_schema_extra={"minimum": 16_000, "maximum": 48_000},
        ),
    ] = 44_100
    sum_to_mix: Annotated[
        bool,
        Field(
            description="sumToMix distributes the difference between the input and the sum of the stems over the "
            "stems, so that they add up to the input. Default false."
        ),
    ] = False
    shifts: Annotated[
        int,
        Field(
            ge=0,
            le=10,
            description="shifts averages this many shifted passes: slower, slightly better. Default 0.",
        ),
    ] = 0
    overlap_percent: Annotated[
        int,
        Field(ge=0, le=95, description="overlapPercent is the overlap of neighbouring chunks. Default 25."),
    ] = 25
    seed: Annotated[
        int, Field(ge=0, le=2_147_483_647, description="seed makes shifted passes repeatable. Default 0.")
    ] = 0
    precision: Annotated[
        Precision,
        Field(
            description="precision Mixed lets a GPU compute in bfloat16 where that changes the stems by less than "
            "-30 dB, measured on the first chunk; a CPU always works in Full. Default Full."
        ),
    ] = "Full"

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        filled = expand_preset(data)
        if filled.get("model") == PROOF_MODEL:
            filled.setdefault("stems", "AllStems")
        return filled

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        if self.stems == "SixStems" and self.model != SIX_STEM_MODEL:
            raise ValueError(f"stems: SixStems needs model: {SIX_STEM_MODEL}, not {self.model}")
        if self.bit_depth is not None and self.format not in _BIT_DEPTHS:
            raise ValueError(f"bitDepth needs format: wav or format: flac, not {self.format}")
        if self.bit_depth == "Float32" and self.format != "wav":
            raise ValueError(f"bitDepth: Float32 needs format: wav, not {self.format}")
        if len(set(self.keep)) != len(self.keep):
            raise ValueError("keep names a stem twice")
        there = self.stem_names
        if unknown := [name for name in self.keep if name not in there]:
            raise ValueError(
                f"keep: there is no stem {', '.join(unknown)} with model {self.model} and stems {self.stems}; "
                f"there are {', '.join(there)}"
            )
        return self

    @property
    def stem_names(self) -> tuple[StemName, ...]:
        """What the model gives with these stems; what it cannot give is found when it is loaded."""
        if self.model == PROOF_MODEL:
            return "tonal", "percussive"
        if self.stems == "AllStems":
            return _STEMS["SixStems" if self.model == SIX_STEM_MODEL else "FourStems"]
        return _STEMS[self.stems]

    @classmethod
    def expand(cls, layer: Mapping[str, Any]) -> dict[str, Any]:
        """The layer with its preset's fields filled in."""
        return expand_preset(layer)

    @property
    def models(self) -> tuple[str, ...]:
        """The one demucs model."""
        return (self.model,)

    @property
    def stored_bit_depth(self) -> BitDepth | None:
        """The bit depth of the files; None for formats that have none."""
        return self.bit_depth or _BIT_DEPTHS.get(self.format)


TASK: Final = TaskDescriptor(
    name="Separate",
    summary="Splits music into stems, such as vocals, drums and bass, with demucs.",
    page="separate.md",
    parameters=SeparateParameters,
    inputs=(Input("audio", ("audio/wav",)),),
    outputs=tuple(
        Output(stem, ("audio/flac", "audio/wav", "audio/mpeg", "audio/ogg"), optional=True)
        for stem in get_args(StemName)
    ),
    reuse=Reuse.BY_DEFAULT,
    served=Served.OWN_INPUTS,
    image=ImageFamily.RUNNER_TORCH,
    size=AttemptSize(cpu="1", memory="4Gi", scratch="8Gi"),
    uses_gpu=True,
    uses_models=True,
)
