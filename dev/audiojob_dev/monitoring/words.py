"""Groups of reasons, for queries: who has to do something about them."""

from __future__ import annotations

from typing import Final

from audiojob_types.reasons import Reason

WAITS_BY_DESIGN: Final = frozenset(
    {
        Reason.AWAITING_REVIEW,
        Reason.BACKING_OFF,
        Reason.COOLING_DOWN,
        Reason.EVICTED_BY_KUEUE,
        Reason.HELD,
        Reason.QUEUE_FULL,
        Reason.SITE_BUSY,
        Reason.START_TIME_AHEAD,
        Reason.SUSPENDED,
        Reason.WAITING_FOR_GPU,
        Reason.WAITING_FOR_JOB,
        Reason.WAITING_FOR_KUEUE,
        Reason.WAITING_FOR_SAME_WORK,
        # A name that one user got wrong; no reason to wake anybody.
        Reason.NAMESPACE_NOT_PREPARED,
        Reason.PIPELINE_NOT_FOUND,
        Reason.QUEUE_NOT_FOUND,
    }
)
"""A job may wait for these as long as it takes: nothing is broken."""

USERS: Final = frozenset(
    {
        Reason.AGE_RESTRICTED,
        Reason.BLOCKED_ADDRESS,
        Reason.CANCELLED,
        Reason.CORRUPT_MEDIA,
        Reason.DRM_PROTECTED,
        Reason.EMPTY_MEDIA,
        Reason.GEO_BLOCKED,
        Reason.INVALID_SPEC,
        Reason.LIVE_NOT_ALLOWED,
        Reason.LOGIN_REQUIRED,
        Reason.NOT_MEDIA,
        Reason.REVIEW_REJECTED,
        Reason.REVIEW_TIMEOUT,
        Reason.SOURCE_FORBIDDEN,
        Reason.SOURCE_JOB_FAILED,
        Reason.SOURCE_PRIVATE,
        Reason.SOURCE_UNAVAILABLE,
        Reason.TOO_LARGE,
        Reason.TOO_LONG,
        Reason.TOO_MANY_REDIRECTS,
        Reason.TOO_SLOW,
    }
)
"""Failures that lie in what a user asked for. Whoever operates audiojob can do nothing about them."""

GPU_TROUBLE: Final = frozenset({Reason.GPU_ERROR, Reason.GPU_FAILED_BEFORE, Reason.GPU_OUT_OF_MEMORY})
SITE_TROUBLE: Final = frozenset({Reason.BOT_CHECK, Reason.RATE_LIMITED})
