from __future__ import annotations

from xml.etree.ElementTree import fromstring

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.ytdlp.manifests import MAX_FORMATS, MAX_PIECES, check_dash, check_hls, check_smooth
from audiojob_types.reasons import Reason

TEMPLATE = '<SegmentTemplate media="$Number$" {attributes}>{lines}</SegmentTemplate>'
ENDLESS = TEMPLATE.format(attributes="", lines='<SegmentTimeline><S d="1" r="99999999999999"/></SegmentTimeline>')
HALF = TEMPLATE.format(attributes="", lines=f'<SegmentTimeline><S d="1" r="{MAX_PIECES // 2}"/></SegmentTimeline>')


def template(attributes: str = "", lines: str = "") -> str:
    return TEMPLATE.format(attributes=attributes, lines=lines)


def dash(period: str = "", group: str = "", each: str = "", *, formats: int = 1, length: str = "PT2H") -> str:
    inner = f"<Representation>{each}</Representation>" * formats
    return (
        f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" mediaPresentationDuration="{length}"><Period>{period}'
        f"<AdaptationSet>{group}{inner}</AdaptationSet></Period></MPD>"
    )


def smooth(lines: str, levels: int = 1) -> str:
    return (
        f"<SmoothStreamingMedia><StreamIndex>{'<QualityLevel/>' * levels}{lines}</StreamIndex></SmoothStreamingMedia>"
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(dash(each=ENDLESS), id="one line that repeats itself"),
        pytest.param(dash(group=ENDLESS), id="what the group says"),
        pytest.param(dash(period=ENDLESS), id="what the period says"),
        pytest.param(dash(period=ENDLESS, each=template('duration="2"')), id="what a format does not take back"),
        pytest.param(dash(group=HALF, formats=3), id="one line for several formats"),
        pytest.param(dash(each=template('duration="1" timescale="1000"')), id="pieces of a moment"),
        pytest.param(dash(each=template('duration="1e-300"')), id="pieces of less than that"),
        pytest.param(dash(each=template('duration="2"'), length="PT999999999H"), id="a film of a lifetime"),
        pytest.param(dash(formats=MAX_FORMATS + 1), id="too many formats"),
        pytest.param(
            dash(group=f"<SegmentList>{'<SegmentURL/>' * 2_000}</SegmentList>", formats=300), id="a long list for many"
        ),
    ],
)
def test_a_dash_list_is_not_written_out(text: str) -> None:
    with pytest.raises(PhaseError) as caught:
        check_dash(fromstring(text))
    assert caught.value.reason is Reason.TOO_LARGE
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(dash(each=template('duration="2"'), formats=50), id="two hours in pieces of two seconds"),
        pytest.param(dash(each=template('duration="2"'), formats=10, length="PT24H"), id="a day of ten formats"),
        pytest.param(
            dash(each=template(lines='<SegmentTimeline><S d="1" r="-1"/></SegmentTimeline>')), id="to the end"
        ),
        pytest.param(dash(each=template('duration="0"')), id="pieces of no length"),
        pytest.param("<MPD><Period><!-- empty --></Period></MPD>", id="an empty one"),
    ],
)
def test_what_sites_list_is_read(text: str) -> None:
    check_dash(fromstring(text))


@pytest.mark.parametrize(
    ("text", "too_many"),
    [
        pytest.param(smooth('<c d="1" r="99999999999999"/>'), True, id="one line that repeats itself"),
        pytest.param(smooth(f'<c d="1" r="{MAX_PIECES // 2}"/>', levels=3), True, id="one line for several formats"),
        pytest.param(smooth("<c/>", levels=MAX_FORMATS + 1), True, id="too many formats"),
        pytest.param(smooth('<c d="1" r="3600"/>' * 2, levels=10), False, id="what sites list"),
    ],
)
def test_smooth_streaming(text: str, too_many: bool) -> None:
    if not too_many:
        check_smooth(fromstring(text))
        return
    with pytest.raises(PhaseError, match="more"):
        check_smooth(fromstring(text))


@pytest.mark.parametrize("line", ["#EXT-X-STREAM-INF:BANDWIDTH=1\na\n", '#EXT-X-MEDIA:TYPE=AUDIO,URI="a"\n'])
def test_hls(line: str) -> None:
    check_hls("#EXTM3U\n" + line * 100)
    with pytest.raises(PhaseError, match="more formats"):
        check_hls("#EXTM3U\n" + line * (MAX_FORMATS + 1))
