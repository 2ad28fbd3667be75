"""Parameters of Separate: a mix into stems, by demucs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from audiojob_types.base import WireModel, cel

# Names only, from this list: demucs itself accepts paths and hub names, which would be code of the user's choice.
Model = Literal["htdemucs", "htdemucs_ft", "htdemucs_6s", "hdemucs_mmi", "mdx", "mdx_extra", "demucs_unittest"]
Stems = Literal["TwoStems", "FourStems", "SixStems"]
StemFormat = Literal["wav", "flac"]

SIX_STEM_MODEL = "htdemucs_6s"


class SeparateParameters(WireModel):
    """How to separate. Stems are 44.1 kHz stereo and exactly as long as the input."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                (
                    "!has(self.stems) || self.stems != 'SixStems' || (has(self.model) && self.model == 'htdemucs_6s')",
                    "stems: SixStems needs model: htdemucs_6s, the only model with six stems",
                )
            )
        }
    )

    model: Annotated[
        Model,
        Field(
            description="model is the demucs model. demucs_unittest is demucs' own untrained network: it needs no "
            "weights and its stems mean nothing; it is for trying out the system. Default htdemucs."
        ),
    ] = "htdemucs"
    stems: Annotated[
        Stems,
        Field(
            description="stems is TwoStems (vocals, accompaniment), FourStems (vocals, drums, bass, other) or SixStems "
            "(and guitar, piano). Default FourStems."
        ),
    ] = "FourStems"
    format: Annotated[StemFormat, Field(description="format of the stem files, both lossless. Default flac.")] = "flac"
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

    @model_validator(mode="after")
    def _six_stems_need_their_model(self) -> Self:
        if self.stems == "SixStems" and self.model != SIX_STEM_MODEL:
            raise ValueError(f"stems: SixStems needs model: {SIX_STEM_MODEL}, not {self.model}")
        return self
