"""Random contractions, convolutions, poolings and tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from . import numbers
from .builder import Builder, Rejected, Size, Value
from .loops import reduce_number, spread
from .numbers import Number, is_float

ACCUMULATORS = {
    "f32": ("f32",),
    "i8": ("i32",),
    "bf16": ("f32", "bf16"),
    "f16": ("f32", "f16"),
    "f64": ("f64",),
    "i32": ("i32", "i64"),
    "i16": ("i32",),
    "i64": ("i64",),
}
_MOST_PRODUCTS = 1 << 18


def products(terms: str, first: Number, second: Number, init: Number, sizes: dict[str, int]) -> Number:
    """init plus the sum of products; `terms` as in "mk,kn->mn", with all sizes by letter."""
    inputs, out = terms.split("->")
    letters = [*out, *(letter for letter in sizes if letter not in out)]
    if np.prod([max(1, size) for size in sizes.values()]) > _MOST_PRODUCTS:
        raise Rejected
    views = []
    for number, own in zip((first, second), inputs.split(","), strict=True):
        dims = [letters.index(letter) for letter in own]
        views.append(number.map(lambda part, dims=dims: spread(part, dims, len(letters))))
    axes = tuple(range(len(out), len(letters)))
    shape = [sizes[letter] for letter in letters]
    if not is_float(init.element):
        product = np.broadcast_to(views[0].exact * views[1].exact, shape)
        return numbers.integers(init.element, init.exact + product.sum(axes))
    a, b = (numbers.reals(init.element, view.exact, view.error) for view in views)
    product = numbers.multiply(a, b)
    return numbers.total(product.map(lambda part: np.broadcast_to(part, shape)), init, axes)


def _accumulator(builder: Builder, element: str) -> str:
    if element not in ACCUMULATORS:
        raise Rejected
    return builder.chance.one_of(ACCUMULATORS[element])


def _start(builder: Builder, element: str, sizes: Sequence[Size]) -> Value:
    """Zeros mostly, else any tensor that fits."""
    if builder.chance.integer(0, 2) == 0:
        return builder.any_tensor(lambda value: value.element == element and list(value.shape) == list(sizes))
    return builder.filled(element, sizes, 0)


def contraction(builder: Builder) -> Value:
    """matmul with any operand transposed, batch_matmul, matvec, vecmat, dot."""
    name, terms = builder.chance.one_of(
        [
            ("matmul", "mk,kn->mn"),
            ("batch_matmul", "bmk,bkn->bmn"),
            ("matvec", "mk,k->m"),
            ("vecmat", "k,kn->n"),
            ("dot", "k,k->"),
            ("matmul", "mk,nk->mn"),
            ("matmul", "km,kn->mn"),
            ("batch_matmul", "bmk,bnk->bmn"),
            ("generic", "km,nk->nm"),
            ("generic", "mbk,kbn->bnm"),
        ]
    )
    inputs, out = terms.split("->")
    left, right = inputs.split(",")
    lhs = builder.any_tensor(lambda value: value.rank == len(left) and value.element in ACCUMULATORS)
    sizes = dict(zip(left, lhs.shape, strict=True))
    rhs = _partner(builder, right, sizes, lhs.element)
    sizes |= dict(zip(right, rhs.shape, strict=True))
    init = _start(builder, _accumulator(builder, lhs.element), [sizes[letter] for letter in out])
    number = products(terms, lhs.number, rhs.number, init.number, {k: size.value for k, size in sizes.items()})
    operands = f"ins({lhs.name}, {rhs.name} : {lhs.type}, {rhs.type}) outs({init.name} : {init.type})"
    plain = {"matmul": "mk,kn->mn", "batch_matmul": "bmk,bkn->bmn"}
    if name == "generic":
        return _written_out(builder, terms, lhs, rhs, init, number)
    maps = f" indexing_maps = [{', '.join(_maps(terms))}]" if plain.get(name, terms) != terms else ""
    hints = _hints(builder, lhs.element, init.element) if name in plain else ""
    return builder.keep(builder.emit(f"linalg.{name}{maps}{hints} {operands} -> {init.type}", number, init.sizes))


def _hints(builder: Builder, element: str, accumulator: str) -> str:
    """Sometimes what a program may ask of data tiling, as far as every target can do it."""
    hints = ["", "", "", " {encoding.data_tiling = false}"]
    if (element, accumulator) in (("f32", "f32"), ("i8", "i32"), ("bf16", "f32")):
        hints.append(" {encoding.data_tiling = true}")
    if element == "f32":
        hints.append(" {encoding.tile_sizes = array<i64: 2, 16, 1>}")
    return builder.chance.one_of(hints)


def _maps(terms: str) -> list[str]:
    inputs, out = terms.split("->")
    letters = [letter for letter in "bmnk" if letter in terms]
    dims = {letter: f"d{position}" for position, letter in enumerate(letters)}
    own = [*inputs.split(","), out]
    return [f"affine_map<({', '.join(dims.values())}) -> ({', '.join(dims[x] for x in each)})>" for each in own]


def _written_out(builder: Builder, terms: str, lhs: Value, rhs: Value, init: Value, number: Number) -> Value:
    """The same as a generic with a multiplication and an addition."""
    letters = [letter for letter in "bmnk" if letter in terms]
    kinds = ", ".join('"reduction"' if letter == "k" else '"parallel"' for letter in letters)
    a, b, c, product, total = (builder.fresh() for _ in range(5))
    element, accumulator = lhs.element, init.element
    suffix = "f" if is_float(accumulator) else "i"
    value = builder.emit(
        f"linalg.generic {{indexing_maps = [{', '.join(_maps(terms))}], iterator_types = [{kinds}]}} "
        f"ins({lhs.name}, {rhs.name} : {lhs.type}, {rhs.type}) outs({init.name} : {init.type}) {{",
        number,
        init.sizes,
    )
    builder.line(f"^bb0({a}: {element}, {b}: {element}, {c}: {accumulator}):")
    with builder.block():
        if element != accumulator:
            wide = [builder.fresh(), builder.fresh()]
            for narrow, name in zip((a, b), wide, strict=True):
                builder.line(
                    f"{name} = arith.ext{'f' if is_float(element) else 'si'} {narrow} : {element} to {accumulator}"
                )
            a, b = wide
        builder.line(f"{product} = arith.mul{suffix} {a}, {b} : {accumulator}")
        builder.line(f"{total} = arith.add{suffix} {c}, {product} : {accumulator}")
        builder.line(f"linalg.yield {total} : {accumulator}")
    builder.line(f"}} -> {init.type}")
    return builder.keep(value)


def _partner(builder: Builder, letters: str, sizes: dict[str, Size], element: str) -> Value:
    """A tensor of this type along these dimensions: one in scope, or a constant where the sizes are known."""

    def fits(value: Value) -> bool:
        known = zip(letters, value.shape, strict=False)
        return value.element == element and value.rank == len(letters) and all(sizes.get(x, s) == s for x, s in known)

    known = all(letter not in sizes or sizes[letter].name is None for letter in letters)
    if known and builder.chance.integer(0, 1):
        fresh = {letter: sizes.get(letter, Size(builder.chance.one_of([4, 3, 1, 17, 0, 33]))) for letter in letters}
        return builder.constant(element, [fresh[letter].value for letter in letters])
    return builder.any_tensor(fits)


def convolution(builder: Builder) -> Value:
    """Named convolutions with a constant filter, strides and dilations."""
    chance = builder.chance
    name, out_channels = chance.one_of(
        [
            ("conv_2d_nhwc_hwcf", True),
            ("conv_2d_nhwc_fhwc", True),
            ("depthwise_conv_2d_nhwc_hwc", False),
            ("conv_2d_nchw_fchw", True),
            ("conv_1d_nwc_wcf", True),
        ]
    )
    rank = 3 if "1d" in name else 4
    image = builder.any_tensor(lambda value: value.rank == rank and value.element in ACCUMULATORS)
    layout = name.split("_")[-2]
    spatial = [axis for axis, letter in enumerate(layout) if letter in "hw"]
    channel = layout.index("c")
    if image.shape[channel].name is not None:
        raise Rejected
    kernel = [chance.integer(1, 3) for _ in spatial]
    strides = [chance.integer(1, 2) for _ in spatial]
    dilations = [chance.integer(1, 2) for _ in spatial]
    filters = chance.one_of([4, 1, 3, 17]) if out_channels else 0
    letters = name.split("_")[-1]
    extents = {"f": filters, "c": image.shape[channel].value}
    extents |= dict(zip([layout[axis] for axis in spatial], kernel, strict=True))
    filter = builder.constant(image.element, [extents[letter] for letter in letters])
    sizes = _window_sizes(builder, image, spatial, kernel, strides, dilations)
    if out_channels:
        sizes[channel] = Size(filters)
    init = _start(builder, _accumulator(builder, image.element), sizes)
    patches = _patches(image.number, spatial, kernel, strides, dilations, [size.value for size in init.shape])
    # Dimensions of the patches: those of the image, then one per window axis, in capitals.
    taps = "".join(layout[axis].upper() for axis in spatial)
    own = "".join(letter.upper() if letter in "hw" else letter for letter in letters)
    out = layout.replace("c", "f") if out_channels else layout
    every = dict(zip(layout + taps, patches.exact.shape, strict=True)) | ({"f": filters} if out_channels else {})
    number = products(f"{layout + taps},{own}->{out}", patches, filter.number, init.number, every)
    text = _window_text(name, strides, dilations, image, filter, init)
    return builder.keep(builder.emit(text, number, init.sizes))


def pooling(builder: Builder) -> Value:
    """max, min and sum over windows; what lies in the window's tensor does not matter."""
    chance = builder.chance
    name, operation = chance.one_of(
        [
            ("pooling_nhwc_max", "max"),
            ("pooling_nhwc_sum", "add"),
            ("pooling_nhwc_min", "min"),
            ("pooling_nchw_max", "max"),
        ]
    )
    image = builder.any_tensor(lambda value: value.rank == 4 and value.element in ACCUMULATORS)
    spatial = [1, 2] if "nhwc" in name else [2, 3]
    kernel = [chance.integer(1, 3) for _ in spatial]
    strides = [chance.integer(1, 2) for _ in spatial]
    dilations = [chance.integer(1, 2) for _ in spatial]
    sizes = _window_sizes(builder, image, spatial, kernel, strides, dilations)
    window = builder.empty(image.element, [Size(size) for size in kernel])
    init = builder.filled(image.element, sizes, 0)
    patches = _patches(image.number, spatial, kernel, strides, dilations, [size.value for size in sizes])
    if is_float(image.element):
        full = {"add": "arith.addf", "max": "arith.maximumf", "min": "arith.minimumf"}[operation]
    else:
        full = {"add": "arith.addi", "max": "arith.maxsi", "min": "arith.minsi"}[operation]
    number = reduce_number(full, patches, init.number, (4, 5))
    text = _window_text(name, strides, dilations, image, window, init)
    return builder.keep(builder.emit(text, number, init.sizes))


def _window_sizes(
    builder: Builder,
    image: Value,
    spatial: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[Size]:
    """The image's sizes after the window slid over it; computed by the program where they are not known."""
    sizes = list(image.shape)
    for axis, tap, stride, dilation in zip(spatial, kernel, strides, dilations, strict=True):
        reach = (tap - 1) * dilation
        size = sizes[axis]
        if size.value <= reach:
            raise Rejected
        value = (size.value - 1 - reach) // stride + 1
        if size.name is None:
            sizes[axis] = Size(value)
            continue
        index = numbers.integers("index", np.asarray(0))
        left = builder.emit(f"arith.subi {size.name}, {builder.index(1 + reach)} : index", index, None).name
        steps = builder.emit(f"arith.divsi {left}, {builder.index(stride)} : index", index, None).name
        sizes[axis] = Size(value, builder.emit(f"arith.addi {steps}, {builder.index(1)} : index", index, None).name)
    return sizes


def _patches(
    image: Number,
    spatial: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    out: Sequence[int],
) -> Number:
    """[image dimensions with the sizes of the result, one window dimension per spatial one]."""

    def gather(part: np.ndarray) -> np.ndarray:
        for position, axis in enumerate(spatial):
            indices = (
                np.arange(out[axis])[:, None] * strides[position] + np.arange(kernel[position]) * dilations[position]
            )
            part = np.moveaxis(np.take(part, indices, axis), axis + 1, -1)
        return part

    return image.map(gather)


def _window_text(
    name: str, strides: Sequence[int], dilations: Sequence[int], image: Value, window: Value, init: Value
) -> str:
    attributes = ", ".join(
        f"{key} = dense<{list(values)}> : tensor<{len(values)}xi64>"
        for key, values in (("dilations", dilations), ("strides", strides))
    )
    return (
        f"linalg.{name} {{{attributes}}} ins({image.name}, {window.name} : {image.type}, {window.type}) "
        f"outs({init.name} : {init.type}) -> {init.type}"
    )


def tiles(builder: Builder) -> Value:
    """pack, mmt4d on packed matrices, and unpack."""
    chance = builder.chance
    lhs = builder.any_tensor(lambda value: value.rank == 2 and value.element in ACCUMULATORS)
    m0, n0, k0 = (chance.one_of([4, 1, 8, 3]) for _ in range(3))
    packed = _pack(builder, lhs, (m0, k0))
    if chance.integer(0, 2) == 0:
        return _unpack(builder, packed, lhs)
    rhs = builder.any_tensor(lambda v: v.rank == 2 and v.element == lhs.element and v.shape[1] == lhs.shape[1])
    other = _pack(builder, rhs, (n0, k0))
    sizes = [packed.shape[0], other.shape[0], Size(m0), Size(n0)]
    init = builder.filled(_accumulator(builder, lhs.element), sizes, 0)
    terms = dict(zip("acek", [*(s.value for s in packed.shape)], strict=True)) | dict(
        zip("bcfk", [*(s.value for s in other.shape)], strict=True)
    )
    number = products("acek,bcfk->abef", packed.number, other.number, init.number, terms)
    text = (
        f"linalg.mmt4d ins({packed.name}, {other.name} : {packed.type}, {other.type}) "
        f"outs({init.name} : {init.type}) -> {init.type}"
    )
    product = builder.emit(text, number, init.sizes)
    return _unpack(builder, product, builder.empty(init.element, [lhs.shape[0], rhs.shape[0]]))


def _pack(builder: Builder, source: Value, tiles: tuple[int, int]) -> Value:
    outer = [_tile_count(builder, size, tile) for size, tile in zip(source.shape, tiles, strict=True)]
    dest = builder.empty(source.element, [*outer, *map(Size, tiles)])
    padding = builder.scalar(source.element, 0)
    rows, columns = (size.value * tile for size, tile in zip(outer, tiles, strict=True))

    def pack(part: np.ndarray) -> np.ndarray:
        full = np.zeros((rows, columns), part.dtype)
        full[: part.shape[0], : part.shape[1]] = part
        return full.reshape(outer[0].value, tiles[0], outer[1].value, tiles[1]).swapaxes(1, 2)

    text = (
        f"linalg.pack {source.name} padding_value({padding.name} : {source.element}) inner_dims_pos = [0, 1] "
        f"inner_tiles = [{tiles[0]}, {tiles[1]}] into {dest.name} : {source.type} -> {dest.type}"
    )
    return builder.emit(text, source.number.map(pack), dest.sizes)


def _unpack(builder: Builder, tiles: Value, like: Value) -> Value:
    dest = builder.empty(tiles.element, like.shape)
    rows, columns = (size.value for size in like.shape)

    def unpack(part: np.ndarray) -> np.ndarray:
        a, b, c, d = part.shape
        return part.swapaxes(1, 2).reshape(a * c, b * d)[:rows, :columns]

    inner = ", ".join(str(size.value) for size in tiles.shape[2:])
    text = (
        f"linalg.unpack {tiles.name} inner_dims_pos = [0, 1] inner_tiles = [{inner}] "
        f"into {dest.name} : {tiles.type} -> {dest.type}"
    )
    return builder.keep(builder.emit(text, tiles.number.map(unpack), dest.sizes))


def _tile_count(builder: Builder, size: Size, tile: int) -> Size:
    value = -(-size.value // tile)
    if size.name is None:
        return Size(value)
    index = numbers.integers("index", np.asarray(0))
    return Size(value, builder.emit(f"arith.ceildivsi {size.name}, {builder.index(tile)} : index", index, None).name)


OPERATIONS: Sequence[Callable[[Builder], Value]] = (contraction, convolution, pooling, tiles)
