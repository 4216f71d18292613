import xml.etree.ElementTree as ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from lightrec.benchmarks.report.charts.axes import Axis, linear_axis, log_axis
from lightrec.benchmarks.report.charts.label_placement import Box, leader, place_label
from lightrec.benchmarks.report.charts.pareto import Point, front, pareto_chart, pareto_file

numbers = st.floats(0.01, 100, allow_nan=False)
shapes = st.tuples(numbers, numbers)


def points(*places, size=1_000_000):
    return [Point(f"variant {n}", latency, quality, size, n) for n, (latency, quality) in enumerate(places)]


def test_the_front_is_what_nothing_beats():
    # Variant 2 is slower and worse than 1, variant 3 as fast as 0 and worse, variant 4 like 1 in all.
    found = front(points((1.0, 0.1), (2.0, 0.2), (3.0, 0.15), (1.0, 0.05), (2.0, 0.2), (9.0, 0.3)))
    assert [point.label for point in found] == ["variant 0", "variant 1", "variant 5"]


@settings(max_examples=40, deadline=None)
@given(st.lists(shapes, min_size=1, max_size=20))
def test_every_point_is_on_the_front_or_beaten_by_one_of_it(places):
    every = points(*places)
    found = front(every)
    for point in every:
        beaten = [p for p in found if p.latency_ms <= point.latency_ms and p.quality >= point.quality]
        assert beaten
    qualities = [point.quality for point in found]
    assert qualities == sorted(set(qualities))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 800), st.floats(0, 400), st.floats(10, 200)), max_size=25))
def test_labels_lie_over_nothing_and_within_the_drawing(places):
    area = Box(0, 0, 800, 400)
    timings = [Box(x - 4, y - 4, x + 4, y + 4) for x, y, _ in places]
    for x, y, width in places:
        found = place_label(x, y, 8, width, 30, timings, area)
        if found is not None:
            box, _, far = found
            assert box.within(area) and not any(box.meets(other) for other in timings)
            timings += [box, *(leader(x, y, box) if far else [])]


def test_a_lonely_label_stands_right_of_its_point_and_left_at_the_edge():
    area = Box(0, 0, 100, 100)
    assert place_label(20, 50, 5, 40, 10, [], area) == (Box(25, 45, 65, 55), "start", False)
    assert place_label(90, 50, 5, 40, 10, [], area) == (Box(45, 45, 85, 55), "end", False)
    assert place_label(50, 50, 5, 400, 10, [], area) is None


def test_the_picture_names_every_point_once_or_says_which_it_could_not():
    every = points((0.05, 0.06), (0.06, 0.061), (0.5, 0.062), (2.0, 0.05))
    picture, unnamed = pareto_chart(every, 880, 440, (0.06, "99% of torch"))
    texts = [element.text for element in ElementTree.fromstring(picture).iter("text")]
    assert unnamed == []
    assert [texts.count(point.label) for point in every] == [1, 1, 1, 1]
    assert "99% of torch" in texts and "0.050 ms · 1.00 MB" in texts
    crowded, unnamed = pareto_chart(points(*[(1.0, 0.1)] * 40), 880, 440)
    named = [element.text for element in ElementTree.fromstring(crowded).iter("text")]
    assert 0 < len(unnamed) < 40
    assert not {point.label for point in unnamed} & set(named)


def test_a_mark_grows_with_the_size():
    small, large = Point("a", 1.0, 0.1, 250_000, 0), Point("b", 2.0, 0.1, 1_000_000, 0)
    picture = ElementTree.fromstring(pareto_chart([small, large], 880, 440)[0])
    radii = sorted(float(circle.get("r")) for circle in picture.iter("circle"))
    assert radii == [6.0, 12.0]  # four times the area


def test_the_file_is_svg_that_needs_nothing_else():
    page = pareto_file(points((1.0, 0.1), (2.0, 0.2)), None, "A & B", "<note>")
    root = ElementTree.fromstring(page)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert [root.find(f"{{http://www.w3.org/2000/svg}}{name}").text for name in ("title", "desc")] == [
        "A & B",
        "On the front: variant 0: NDCG@10 0.1000, 1.00 ms · 1.00 MB; variant 1: NDCG@10 0.2000, 2.00 ms · 1.00 MB.",
    ]
    assert page.count("http") == 1  # the name space
    assert "prefers-color-scheme: dark" in page


@settings(max_examples=40, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=10))
def test_axes_hold_their_values_and_ticks(values):
    for axis in (linear_axis(values, ""), linear_axis(values, "", zero=True), log_axis(values, "")):
        assert all(0 < axis.at(value) < 1 for value in values)
        assert all(axis.low - 1e-9 <= tick <= axis.high + 1e-9 for tick in axis.ticks)  # they are rounded
        assert len(axis.ticks) > 1
        assert len(set(axis.tick_labels())) == len(axis.ticks)


def test_a_short_span_of_quality_is_shown_as_short():
    axis = linear_axis([0.0560, 0.0561], "", least=0.04 * 0.0561)
    assert axis.high - axis.low > 0.04 * 0.0561


def test_values_beyond_an_axis_lie_on_its_ends():
    assert [Axis("", 1, 10, log=True).at(value) for value in (0.1, 100)] == [0, 1]
