"""A string stays a string: no value can add to the objects that a chart renders, or turn into a number there."""

import itertools
import json
import re
import tomllib

import jsonschema

# Where users choose the keys themselves.
FREE = re.compile(r"(.*[lL]abels|.*[aA]nnotations|nodeSelector|files|data|requests|limits)$")
# Whole objects of the user's own; and quantities, which the chart compares.
LEFT_OUT = {"extraObjects", "memory"}
NUMBERS = (str(number) for number in itertools.count(2024))


def injected(text):
    """The text with lines after it that would be keys of a pod at some indentation."""
    return text + "".join("\n" + " " * indent + "hostNetwork: true" for indent in range(0, 26, 2))


def number(_):
    """A string that YAML reads as a number unless it is quoted; each is another one."""
    return next(NUMBERS)


def change_all(values, change, accepts):
    """Changes every string in the values, and every key that users choose, where the chart accepts that. Takes a function
    that says whether it accepts the values as they are now. Returns how many were changed."""
    count = 0
    for holder, key in list(strings(values)):
        before = holder[key]
        holder[key] = change(before)
        if accepts():
            count += 1
        else:
            holder[key] = before
    for holder in list(free_maps(values)):
        for key in list(holder):
            before = dict(holder)
            holder[change(key)] = holder.pop(key)
            if accepts():
                count += 1
            else:
                holder.clear()
                holder.update(before)
    return count


def below(values):
    """The keys and values of a dict or a list, but for what is left out."""
    entries = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return [(key, value) for key, value in entries if key not in LEFT_OUT]


def strings(values):
    """Every string in the values, as what holds it and its key there."""
    for key, value in below(values):
        if isinstance(value, str):
            yield values, key
        yield from strings(value)


def free_maps(values):
    """Every dict in the values whose keys users choose."""
    for key, value in below(values):
        if isinstance(value, dict) and FREE.match(str(key)):
            yield value
        yield from free_maps(value)


def shape(value, is_free=False):
    """The keys and types of a value. Where users choose keys, only how many there are."""
    if isinstance(value, dict):
        if "gateway.toml" in value:
            return shape(tomllib.loads(value["gateway.toml"]))
        if is_free:
            return sorted(str(shape(entry)) for entry in value.values())
        return {key: shape(entry, FREE.match(key)) for key, entry in value.items()}
    if isinstance(value, list):
        return [shape(entry) for entry in value]
    return type(value).__name__


def shapes(objects):
    """The shapes of all objects, in an order that does not depend on their names."""
    return sorted(json.dumps([o["kind"], shape(o)], sort_keys=True) for o in objects.all)


def without_required(schema):
    """The schema, with nothing required in it: a case leaves to the chart what it does not set."""
    if isinstance(schema, list):
        return [without_required(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: without_required(part) for key, part in schema.items() if key != "required"}


def check_strings(case, schema, render):
    """Renders a case with all its strings changed: the shapes stay. Takes the text of the values, the chart's schema, and a
    function that renders values. Returns how many strings were changed."""
    validator = jsonschema.Draft7Validator(without_required(schema))
    expected = shapes(render(json.loads(case)))
    total = 0
    for change in (injected, number):
        values = json.loads(case)
        total += change_all(values, change, lambda: validator.is_valid(values))
        assert shapes(render(values)) == expected, f"{change.__name__}: a string changes what is rendered"
    return total
