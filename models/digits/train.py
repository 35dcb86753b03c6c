"""Trains the digit classifier that ships with Tosaic and converts it to TFLite, f32 and int8.

    pip install "tensorflow-cpu==2.21.*" scikit-learn pillow
    python models/digits/train.py

Data: the 1,797 handwritten digits of scikit-learn's `load_digits` (UCI "Optical Recognition of Handwritten Digits",
CC BY 4.0), 8x8 grey pixels, brought to 32x32 so that a person can read them. Every fourth digit is held out; the
samples are ten of those. Writes digits_f32.tflite, digits_int8.tflite, samples/*.png and provenance.json beside this
file. Runs in a minute on a laptop; fixed seeds.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import keras
import numpy as np
import sklearn
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
SIZE = 32


def load_images() -> tuple[np.ndarray, np.ndarray]:
    """The digits as float32 [count, 32, 32, 1] in 0..1 and their labels."""
    digits = load_digits()
    pictures = [
        Image.fromarray((pixels * 255 / 16).astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        for pixels in digits.images
    ]
    images = np.stack([np.asarray(picture, np.float32) / 255 for picture in pictures])[..., None]
    return images, digits.target


def build_model() -> keras.Model:
    """A MobileNet in small: one convolution, two depthwise separable blocks, a classifier."""
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 1), batch_size=1, name="image")
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    for channels in (32, 48):
        x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.Conv2D(channels, 1, use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(10, activation="softmax", name="probabilities")(x))


def train(images: np.ndarray, labels: np.ndarray) -> keras.Model:
    """Trains on shifted copies of `images` with a batch size of its own, then fixes the batch at 1."""
    fixed = build_model()
    trained = keras.models.clone_model(fixed, input_tensors=keras.Input((SIZE, SIZE, 1)))
    augment = keras.Sequential([keras.layers.RandomTranslation(0.1, 0.1, seed=1)])
    rate = keras.optimizers.schedules.CosineDecay(3e-3, 60 * len(images) // 64)
    trained.compile(optimizer=keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy")
    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images), seed=1).batch(64)
    trained.fit(data.map(lambda x, y: (augment(x, training=True), y)), epochs=60, verbose=0)
    fixed.set_weights(trained.get_weights())
    return fixed


def convert(model: keras.Model, calibration: np.ndarray, quantize: bool) -> bytes:
    """The model as TFLite; int8 inside and out when `quantize`."""
    module = tf.Module()
    module.variables_ = [getattr(variable, "value", variable) for variable in model.variables]
    signature = [tf.TensorSpec([1, SIZE, SIZE, 1], tf.float32, name="image")]
    module.call = tf.function(lambda image: {"probabilities": model(image, training=False)}, input_signature=signature)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": module.call})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([image[None]] for image in calibration)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        return converter.convert()


def accuracy(model: bytes, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of `images` that the TFLite `model` classifies right."""
    interpreter = tf.lite.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = source["quantization"]
    right = 0
    for image, label in zip(images, labels, strict=True):
        if source["dtype"] == np.int8:
            image = np.clip(np.round(image / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        right += int(interpreter.get_tensor(result["index"]).argmax() == label)
    return right / len(images)


def main() -> None:
    keras.utils.set_random_seed(7)
    images, labels = load_images()
    held_out = np.arange(len(images)) % 4 == 0
    model = train(images[~held_out], labels[~held_out])
    provenance: dict[str, object] = {
        "recipe": "models/digits/train.py",
        "data": f"sklearn.datasets.load_digits, scikit-learn {sklearn.__version__}; UCI handwritten digits, CC BY 4.0",
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "files": {},
    }
    for kind in ("f32", "int8"):
        content = convert(model, images[~held_out][:256], quantize=kind == "int8")
        (HERE / f"digits_{kind}.tflite").write_bytes(content)
        provenance["files"][f"digits_{kind}.tflite"] = {  # pyright: ignore[reportIndexIssue]
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "held_out_accuracy": round(accuracy(content, images[held_out], labels[held_out]), 4),
        }
    samples = HERE / "samples"
    samples.mkdir(exist_ok=True)
    for digit in range(10):
        index = np.flatnonzero(held_out & (labels == digit))[2]
        pixels = np.round(images[index, ..., 0] * 255).astype(np.uint8)
        Image.fromarray(pixels).save(samples / f"{digit}.png")
    (HERE / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n")
    print(json.dumps(provenance, indent=2))


if __name__ == "__main__":
    main()
