"""Every setting once: its type, default, bounds and one line of help."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, lt=1)]
Text = Annotated[str, Field(min_length=1)]
SplitName = Text

BestMetric = Literal[
    "accuracy",
    "macro_f1",
    "weighted_f1",
    "macro_precision",
    "macro_recall",
    "matthews",
    "roc_auc",
    "micro_f1",
    "micro_precision",
    "micro_recall",
    "mean_average_precision",
    "subset_accuracy",
    "pearson",
    "spearman",
    "mae",
    "rmse",
    "loss",
]


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, types are strict, values never change."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class ModelConfig(Section):
    """Which pre-trained model to start from."""

    name: Annotated[str, Field(min_length=1)]
    """Model on the Hugging Face hub (`distilbert-base-uncased`) or a local folder (`./my-model`)."""
    revision: str | None = None
    """Branch, tag or commit on the hub; the commit that it stands for is recorded."""
    max_length: Annotated[int, Field(ge=4)] | None = None
    """Longest text in tokens, the rest is cut off; left out: 256, or the model's own limit if that is lower."""
    long_texts: Literal["truncate", "head_tail", "windows"] = "truncate"
    """What is read of a longer text: its beginning; its beginning and end; or overlapping windows, logits averaged."""
    num_labels: Annotated[int, Field(ge=1)] | None = None
    """Number of classes; found in the data, and if given here it must agree with them."""


class DataConfig(Section):
    """Which labelled texts to learn from."""

    dataset: Text | Annotated[dict[SplitName, Text], Field(min_length=1)]
    """Data set on the hub (`imdb`), a local file or folder, or a mapping of splits to files: `{train: a.csv}`."""
    subset: str | None = None
    """Configuration of a hub data set that has several, for instance `sentiment` of `tweet_eval`."""
    revision: str | None = None
    """Branch, tag or commit of a hub data set; the commit that it stands for is recorded."""
    task: Literal["single_label", "multi_label", "regression"] | None = None
    """One class a text, any number of classes, or a number; left out: seen from the labels."""
    train_split: SplitName = "train"
    """Rows to learn from: a split or a slice of it, such as `train[:5000]` or `train[10%:20%]`."""
    validation_split: Share | SplitName | None = None
    """Rows to choose the best model on: a split, or a share of train; left out: `validation`, else 0.1."""
    test_split: Share | SplitName | None = None
    """Rows for the final figures: a split, or a share of train; left out: `test` if there is one, else none."""
    text_column: Text | Annotated[list[Text], Field(min_length=1)] | None = None
    """Column with the text, or a list of columns that are joined by line breaks; left out: seen from the names."""
    text_pair_column: Text | None = None
    """Column with the second text, for pairs; left out: seen from the names, if there is one at all."""
    label_column: Text | None = None
    """Column with the label; left out: seen from the names."""
    label_separator: Annotated[str, Field(min_length=1)] | None = None
    """What stands between several labels in one value; left out: seen from the labels."""
    delimiter: Literal[",", ";", "|", "tab"] | None = None
    """What separates the fields of CSV files; left out: seen from the file's name and its first line."""
    encoding: Text | None = None
    """Encoding of local text files, such as `cp1252` or `utf-16`; left out: UTF-8."""
    field: Text | None = None
    """Key under which a JSON file holds its rows; left out: the file itself is the array of rows."""
    on_bad_rows: Literal["refuse", "skip"] = "refuse"
    """What to do about rows of local files that cannot be read or have no label; `skip` leaves them out and counts."""
    min_count: Annotated[int, Field(ge=1)] = 1
    """Classes with fewer training examples are left out, and so are their rows in all splits."""
    drop_duplicates: bool = False
    """Leave out of train the rows whose text also stands in validation or test."""


class TrainingConfig(Section):
    """How to train."""

    batch_size: Annotated[int, Field(ge=1)] = 16
    """Texts in a batch."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 5e-5
    """Highest learning rate of the run."""
    num_epochs: Annotated[int, Field(ge=1)] = 3
    """Times that all training texts are seen."""
    warmup_steps: Annotated[float, Field(ge=0)] = 0.06
    """Steps in which the learning rate rises from zero; below 1 it is a share of all steps."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Weight decay of AdamW; biases and layer norms are left out of it."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Longer gradients are scaled down to this norm."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Course of the learning rate after the warm-up: down to zero in a line or a half cosine, or constant."""
    gradient_accumulation_steps: Annotated[int, Field(ge=1)] = 1
    """Batches that are added up for one step; the step equals that of one large batch."""
    packing: Literal["auto", "on", "off"] = "auto"
    """Batches without padding, which is faster and gives the same; `auto`: for all models that take them."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the forward pass; `auto`: bf16 where this machine is measurably faster at it, else fp32."""
    fp16: bool | None = None
    """Older spelling of `precision: fp16`."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Start of all randomness: same configuration, data and machine, same weights."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many evaluations in a row without a better one; left out: never."""
    class_weights: Literal["balanced"] | None = None
    """`balanced`: rare classes weigh as much as frequent ones in the loss; left out: every text weighs the same."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each label that is spread over all classes; the metrics are those of the labels as they are."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    """Learning rate of a block, as a share of that of the block above it; left out: the same for all."""
    lora_rank: Annotated[int, Field(ge=1)] | None = None
    """Rank of LoRA's adapters, trained in place of the encoder's own weights; left out: no adapters."""
    freeze_layers: Annotated[int, Field(ge=0)] | None = None
    """Lowest blocks that are not trained, nor are the embeddings; 0: only those; left out: all is trained."""
    average_last: Annotated[int, Field(ge=2)] | None = None
    """Last evaluations whose weights are averaged, and kept if nothing is better; left out: no averaging."""
    keep_checkpoints: Annotated[int, Field(ge=1)] = 2
    """Checkpoints that are kept while the run goes on, the newest ones; at its end they are removed."""
    best_metric: BestMetric | None = None
    """Metric on validation that decides which model is the best; left out: the usual one of the task."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    """Where to compute: `auto` takes the GPU if there is one; `cpu`, `cuda`, `cuda:1`, `mps`."""


class MlflowConfig(Section):
    """Where the run is tracked."""

    tracking_uri: Annotated[str, Field(min_length=1)] = "sqlite:///mlflow.db"
    """MLflow store: a local SQLite file, a server (`http://localhost:5000`), or a folder to hold the SQLite file."""
    experiment_name: Annotated[str, Field(min_length=1)] = "forgeml"
    """Experiment that the run belongs to."""
    run_name: str | None = None
    """Name of the run; left out: MLflow makes one up."""


class LoggingConfig(Section):
    """How often something is recorded, in steps."""

    log_interval: Annotated[int, Field(ge=1)] = 10
    """Steps between two records of loss, learning rate and examples per second."""
    eval_interval: Annotated[int, Field(ge=1)] | None = None
    """Steps between two evaluations on validation; left out: after each epoch."""
    save_interval: Annotated[int, Field(ge=1)] | None = None
    """Steps between two checkpoints; left out: at evaluations alone, after each of which there is one."""


class Config(Section):
    """The whole of `config.yaml`. Only `model.name` and `data.dataset` are required."""

    model: ModelConfig
    data: DataConfig
    training: TrainingConfig = TrainingConfig()
    mlflow: MlflowConfig = MlflowConfig()
    logging: LoggingConfig = LoggingConfig()
    output_dir: Annotated[str, Field(min_length=1)] = "."
    """Folder in which `best_model/` is written."""
    on_existing_model: Literal["replace", "keep"] = "replace"
    """What becomes of an older `best_model/` once the new one is whole; `keep` moves it aside, to `best_model.1`."""
