"""The part of the TFLite FlatBuffer schema that we read, as data for the verifier.

Source: `schema.fbs` of TensorFlow Lite 2.18, schema version 3 (the version of the `tflite` package). A table lists its
fields in order, which is what fixes their vtable slots; enumerations are written as the scalar that stores them.
`unread` fields are skipped: their content is never looked at, so it needs no check.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import tflite

SCALAR_BYTES = {
    "bool": 1, "byte": 1, "ubyte": 1, "ushort": 2, "int": 4, "uint": 4, "float": 4, "long": 8, "ulong": 8,
}  # fmt: skip

_TABLES = """
Model: version:uint operator_codes:[OperatorCode] subgraphs:[SubGraph] description:string buffers:[Buffer]
    metadata_buffer:[int] metadata:[Metadata] signature_defs:[SignatureDef]
OperatorCode: deprecated_builtin_code:byte custom_code:string version:int builtin_code:int
SubGraph: tensors:[Tensor] inputs:[int] outputs:[int] operators:[Operator] name:string debug_metadata_index:int
Tensor: shape:[int] type:byte buffer:uint name:string quantization:QuantizationParameters is_variable:bool
    sparsity:SparsityParameters shape_signature:[int] has_rank:bool variant_tensors:unread
QuantizationParameters: min:[float] max:[float] scale:[float] zero_point:[long] details_type:ubyte details:unread
    quantized_dimension:int
SparsityParameters: traversal_order:[int] block_map:[int] dim_metadata:[DimensionMetadata]
DimensionMetadata: format:byte dense_size:int array_segments:SparseIndexVector array_indices:SparseIndexVector
Int32Vector: values:[int]
Uint16Vector: values:[ushort]
Uint8Vector: values:[ubyte]
Operator: opcode_index:uint inputs:[int] outputs:[int] builtin_options:BuiltinOptions custom_options:[ubyte]
    custom_options_format:byte mutating_variable_inputs:[bool] intermediates:[int] large_custom_options_offset:ulong
    large_custom_options_size:ulong builtin_options_2_type:ubyte builtin_options_2:unread debug_metadata_index:int
Buffer: data:[ubyte] offset:ulong size:ulong
Metadata: name:string buffer:uint
SignatureDef: inputs:[TensorMap] outputs:[TensorMap] signature_key:string deprecated_tag:string subgraph_index:uint
TensorMap: name:string tensor_index:uint

Conv2DOptions: padding:byte stride_w:int stride_h:int fused_activation_function:byte dilation_w_factor:int
    dilation_h_factor:int quantized_bias_type:byte
DepthwiseConv2DOptions: padding:byte stride_w:int stride_h:int depth_multiplier:int fused_activation_function:byte
    dilation_w_factor:int dilation_h_factor:int
ConcatEmbeddingsOptions: num_channels:int num_columns_per_channel:[int] embedding_dim_per_channel:[int]
LSHProjectionOptions: type:byte
Pool2DOptions: padding:byte stride_w:int stride_h:int filter_width:int filter_height:int
    fused_activation_function:byte
SVDFOptions: rank:int fused_activation_function:byte asymmetric_quantize_inputs:bool
RNNOptions: fused_activation_function:byte asymmetric_quantize_inputs:bool
FullyConnectedOptions: fused_activation_function:byte weights_format:byte keep_num_dims:bool
    asymmetric_quantize_inputs:bool quantized_bias_type:byte
SoftmaxOptions: beta:float
ConcatenationOptions: axis:int fused_activation_function:byte
AddOptions: fused_activation_function:byte pot_scale_int16:bool
L2NormOptions: fused_activation_function:byte
LocalResponseNormalizationOptions: radius:int bias:float alpha:float beta:float
LSTMOptions: fused_activation_function:byte cell_clip:float proj_clip:float kernel_type:byte
    asymmetric_quantize_inputs:bool
ResizeBilinearOptions: new_height:int new_width:int align_corners:bool half_pixel_centers:bool
CallOptions: subgraph:uint
ReshapeOptions: new_shape:[int]
SkipGramOptions: ngram_size:int max_skip_size:int include_all_ngrams:bool
SpaceToDepthOptions: block_size:int
EmbeddingLookupSparseOptions: combiner:byte
MulOptions: fused_activation_function:byte
GatherOptions: axis:int batch_dims:int
ReducerOptions: keep_dims:bool
SubOptions: fused_activation_function:byte pot_scale_int16:bool
DivOptions: fused_activation_function:byte
SqueezeOptions: squeeze_dims:[int]
SequenceRNNOptions: time_major:bool fused_activation_function:byte asymmetric_quantize_inputs:bool
StridedSliceOptions: begin_mask:int end_mask:int ellipsis_mask:int new_axis_mask:int shrink_axis_mask:int offset:bool
SplitOptions: num_splits:int
CastOptions: in_data_type:byte out_data_type:byte
ArgMaxOptions: output_type:byte
TransposeConvOptions: padding:byte stride_w:int stride_h:int fused_activation_function:byte quantized_bias_type:byte
SparseToDenseOptions: validate_indices:bool
ShapeOptions: out_type:byte
ArgMinOptions: output_type:byte
FakeQuantOptions: min:float max:float num_bits:int narrow_range:bool
PackOptions: values_count:int axis:int
OneHotOptions: axis:int
UnpackOptions: num:int axis:int
BidirectionalSequenceLSTMOptions: fused_activation_function:byte cell_clip:float proj_clip:float merge_outputs:bool
    time_major:bool asymmetric_quantize_inputs:bool
BidirectionalSequenceRNNOptions: time_major:bool fused_activation_function:byte merge_outputs:bool
    asymmetric_quantize_inputs:bool
UnidirectionalSequenceLSTMOptions: fused_activation_function:byte cell_clip:float proj_clip:float time_major:bool
    asymmetric_quantize_inputs:bool diagonal_recurrent_tensors:bool
ResizeNearestNeighborOptions: align_corners:bool half_pixel_centers:bool
LeakyReluOptions: alpha:float
MirrorPadOptions: mode:byte
SplitVOptions: num_splits:int
UniqueOptions: idx_out_type:byte
ReverseSequenceOptions: seq_dim:int batch_dim:int
IfOptions: then_subgraph_index:int else_subgraph_index:int
WhileOptions: cond_subgraph_index:int body_subgraph_index:int
DepthToSpaceOptions: block_size:int
BatchMatMulOptions: adj_x:bool adj_y:bool asymmetric_quantize_inputs:bool
CumsumOptions: exclusive:bool reverse:bool
CallOnceOptions: init_subgraph_index:int
Conv3DOptions: padding:byte stride_d:int stride_w:int stride_h:int fused_activation_function:byte
    dilation_d_factor:int dilation_w_factor:int dilation_h_factor:int
HashtableOptions: table_id:int key_dtype:byte value_dtype:byte
VarHandleOptions: container:string shared_name:string
RandomOptions: seed:long seed2:long
BucketizeOptions: boundaries:[float]
GeluOptions: approximate:bool
"""

_EMPTY_TABLES = """
PadOptions BatchToSpaceNDOptions SpaceToBatchNDOptions TransposeOptions ExpOptions TopKV2Options LogSoftmaxOptions
DequantizeOptions MaximumMinimumOptions LessOptions NegOptions PadV2Options GreaterOptions GreaterEqualOptions
LessEqualOptions SelectOptions SliceOptions TileOptions ExpandDimsOptions EqualOptions NotEqualOptions PowOptions
LogicalOrOptions LogicalAndOptions LogicalNotOptions FloorDivOptions SquareOptions ZerosLikeOptions FillOptions
FloorModOptions RangeOptions SquaredDifferenceOptions AbsOptions ReverseV2Options AddNOptions GatherNdOptions
CosOptions WhereOptions RankOptions MatrixDiagOptions QuantizeOptions MatrixSetDiagOptions HardSwishOptions
NonMaxSuppressionV4Options NonMaxSuppressionV5Options ScatterNdOptions SelectV2Options DensifyOptions
SegmentSumOptions BroadcastToOptions Rfft2dOptions HashtableFindOptions HashtableImportOptions HashtableSizeOptions
ReadVariableOptions AssignVariableOptions DynamicUpdateSliceOptions UnsortedSegmentProdOptions
UnsortedSegmentMaxOptions UnsortedSegmentMinOptions UnsortedSegmentSumOptions ATan2Options SignOptions
BitcastOptions BitwiseXorOptions RightShiftOptions
"""

_UNIONS = {
    "BuiltinOptions": {value: name for name, value in vars(tflite.BuiltinOptions).items() if isinstance(value, int)},
    "SparseIndexVector": {1: "Int32Vector", 2: "Uint16Vector", 3: "Uint8Vector"},
}


class Kind(Enum):
    """How a field is stored: inline, or as an offset to something."""

    SCALAR = auto()
    STRING = auto()
    TABLE = auto()
    UNION = auto()
    SCALARS = auto()
    TABLES = auto()
    UNREAD = auto()


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a table."""

    name: str
    slot: int
    """The byte offset of its entry in the vtable; a union's tag has the entry before."""

    kind: Kind
    element: str = ""
    """The table of TABLE and TABLES, the union of UNION."""

    size: int = 4
    """Bytes inline, or of one element of SCALARS; all offsets have 4."""


def _parse_table(body: str) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    slot = 4  # the vtable starts with its own size and the table's
    for declaration in body.split():
        name, type = declaration.split(":")
        element = type.strip("[]")
        if type == "unread":
            field = Field(name, slot, Kind.UNREAD)
        elif type == "string":
            field = Field(name, slot, Kind.STRING)
        elif element in SCALAR_BYTES:
            field = Field(name, slot, Kind.SCALARS if type != element else Kind.SCALAR, size=SCALAR_BYTES[element])
        elif element in _UNIONS:
            fields[f"{name}_type"] = Field(f"{name}_type", slot, Kind.SCALAR, size=1)
            slot += 2
            field = Field(name, slot, Kind.UNION, element)
        else:
            field = Field(name, slot, Kind.TABLES if type != element else Kind.TABLE, element)
        fields[name] = field
        slot += 2
    return fields


def _parse_tables() -> dict[str, dict[str, Field]]:
    tables: dict[str, dict[str, Field]] = {name: {} for name in _EMPTY_TABLES.split()}
    for declaration in _TABLES.replace("\n    ", " ").strip().splitlines():
        name, colon, body = declaration.partition(": ")
        if colon:
            tables[name] = _parse_table(body)
    return tables


TABLES = _parse_tables()
"""Every table that may be read, by name: its fields by name. An options table that is not here is never read."""


def union_member(union: str, tag: int) -> str | None:
    """The table that a union's tag stands for; None for NONE and for tags of newer schemas."""
    name = _UNIONS[union].get(tag)
    return name if name in TABLES else None
