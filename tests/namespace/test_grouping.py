from remote_kernel.namespace.grouping import Grouping


def test_variables_that_share_objects_are_together() -> None:
    grouping = Grouping(["a", "b", "c", "d"])
    grouping.add("a", [1, 2], [])
    grouping.add("b", [3], [])
    grouping.add("c", [2, 4], [])
    grouping.add("d", [4], [])
    assert grouping.groups() == [["a", "c", "d"], ["b"]]


def test_views_are_with_the_array_whose_memory_they_have() -> None:
    grouping = Grouping(["view", "array", "other"])
    grouping.add("view", [1], [(2, 0, 8)])
    grouping.add("array", [2], [])
    grouping.add("other", [3], [(4, 0, 8)])
    assert grouping.groups() == [["view", "array"], ["other"]]


def test_views_of_an_array_that_nobody_has_are_together_where_they_overlap() -> None:
    grouping = Grouping(["a", "b", "c", "d"])
    for name, low, high in (("a", 0, 100), ("b", 10, 20), ("c", 90, 110), ("d", 110, 120)):
        grouping.add(name, [], [(9, low, high)])
    assert grouping.groups() == [["a", "b", "c"], ["d"]]
