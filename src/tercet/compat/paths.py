"""The module paths and names of sentence-transformers 3.x to 6.x: which exist in Tercet, and what to do without others.

A group is a set of names that sentence-transformers has in one module. Each of its paths, old and new, has all names of
the group.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_RUNS = "use {line}, which runs on models of Tercet"
_TRAINS = "it has triplet losses only; use {line}"
_OTHER_MODEL = "it is another kind of model; use {line}"
_NO_MODULE = "models with this module are not supported; use {line}"
_INTERNAL = "use {line}"


@dataclass(frozen=True)
class Group:
    """The names of one module of sentence-transformers.

    Attributes:
        names: the home in Tercet of each name, "module" or "module:other name", relative to `tercet`.
        absent: for each name that Tercet does not have, what to do; `{line}` is the import to use.
    """

    names: dict[str, str]
    absent: dict[str, str]


def _all(home: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), home)


_MODULES = Group(
    _all(
        "encoder.modules",
        "Dense Dropout InputModule LayerNorm Module Normalize Pooling Router StaticEmbedding Transformer "
        "WeightedLayerPooling",
    ),
    _all(_NO_MODULE, "Asym BoW CLIPModel CNN LSTM WordEmbeddings WordWeights"),
)
_LOSSES = Group(
    _all(
        "losses",
        "AdaptiveLayerLoss BatchAllTripletLoss BatchHardSoftMarginTripletLoss BatchHardTripletLoss "
        "BatchHardTripletLossDistanceFunction BatchSemiHardTripletLoss Matryoshka2dLoss MatryoshkaLoss "
        "TripletDistanceMetric TripletLoss",
    ),
    _all(
        _TRAINS,
        "AnglELoss CachedGISTEmbedLoss CachedMultipleNegativesRankingLoss "
        "CachedMultipleNegativesSymmetricRankingLoss CoSENTLoss ContrastiveLoss ContrastiveTensionDataLoader "
        "ContrastiveTensionLoss ContrastiveTensionLossInBatchNegatives CosineSimilarityLoss "
        "DenoisingAutoEncoderLoss DistillKLDivLoss EmbedDistillLoss GISTEmbedLoss "
        "GlobalOrthogonalRegularizationLoss MSELoss MarginMSELoss MegaBatchMarginLoss "
        "MultipleNegativesRankingLoss MultipleNegativesSymmetricRankingLoss OnlineContrastiveLoss "
        "SiameseDistanceMetric SoftmaxLoss",
    ),
)
_EVALUATION = Group(
    {
        "SimilarityFunction": "encoder.similarity",
        "BaseEvaluator": "evaluation:SentenceEvaluator",
        **_all("evaluation", "SentenceEvaluator SequentialEvaluator TripletEvaluator"),
    },
    _all(
        _RUNS,
        "BinaryClassificationEvaluator EmbeddingSimilarityEvaluator InformationRetrievalEvaluator "
        "LabelAccuracyEvaluator MSEEvaluator MSEEvaluatorFromDataFrame NanoBEIREvaluator ParaphraseMiningEvaluator "
        "RerankingEvaluator TranslationEvaluator",
    ),
)
_READERS = Group(
    _all("compat.input_examples", "InputExample"),
    _all(
        _INTERNAL,
        "LabelSentenceReader NLIDataReader PairedFilesReader STSBenchmarkDataReader STSDataReader TripletReader",
    ),
)
_DATASETS = Group(
    _all("compat.input_examples", "SentenceLabelDataset"),
    _all(
        _INTERNAL,
        "DenoisingAutoEncoderDataset NoDuplicatesDataLoader ParallelSentencesDataset SentencesDataset",
    ),
)
_UTIL = Group(
    {
        "LoggingHandler": "compat.logging_handler",
        "SimilarityFunction": "encoder.similarity",
        "quantize_embeddings": "encoder.quantization",
        **_all(
            "compat.util",
            "batch_to_device cos_sim dot_score euclidean_sim manhattan_sim normalize_embeddings pairwise_cos_sim "
            "pairwise_dot_score pairwise_euclidean_sim pairwise_manhattan_sim pytorch_cos_sim semantic_search "
            "truncate_embeddings",
        ),
    },
    _all(
        _RUNS,
        "all_gather all_gather_with_grad check_package_availability community_detection disable_datasets_caching "
        "disable_logging fullname get_device_name get_rank get_world_size http_get import_from_string "
        "information_retrieval install_logger is_datasets_available is_sentence_transformer_model "
        "is_training_available load_dir_path load_file_path maxsim mine_hard_negatives paraphrase_mining "
        "paraphrase_mining_embeddings pairwise_angle_sim resolve_ids "
        "save_to_hub_args_decorator",
    ),
)
_SAMPLERS = {
    **_all("trainer", "BatchSamplers MultiDatasetBatchSamplers"),
    **_all(
        "data.batch_samplers",
        "DefaultBatchSampler GroupByLabelBatchSampler MultiDatasetDefaultBatchSampler NoDuplicatesBatchSampler "
        "ProportionalBatchSampler RoundRobinBatchSampler",
    ),
}
_ABSENT_SAMPLERS = {"SetEpochMixin": _INTERNAL}
_TRAINER = Group(
    {**_SAMPLERS, **_all("trainer", "SentenceTransformerTrainer SentenceTransformerTrainingArguments")},
    {
        **_ABSENT_SAMPLERS,
        **_all(
            _INTERNAL,
            "BaseDataCollator BaseTrainer BaseTrainingArguments PeftAdapterMixin SentenceTransformerDataCollator",
        ),
    },
)
_MODEL = Group(
    {
        "SentenceTransformer": "encoder",
        "SentenceTransformerModelCardData": "encoder.card_data:ModelCardData",
    },
    _all(_INTERNAL, "BaseModel BaseModelCardData"),
)
_PACKAGE = Group(
    {**_MODEL.names, **_TRAINER.names, **_READERS.names, **_DATASETS.names, **_UTIL.names},
    {
        **_MODEL.absent,
        **_TRAINER.absent,
        **_READERS.absent,
        **_DATASETS.absent,
        **_UTIL.absent,
        **_all(
            _OTHER_MODEL,
            "CrossEncoder CrossEncoderModelCardData CrossEncoderTrainer CrossEncoderTrainingArguments "
            "MultiVectorEncoder MultiVectorEncoderModelCardData MultiVectorEncoderTrainer "
            "MultiVectorEncoderTrainingArguments SparseEncoder SparseEncoderModelCardData SparseEncoderTrainer "
            "SparseEncoderTrainingArguments",
        ),
        **_all(
            "load the saved folder with {line}",
            "export_dynamic_quantized_onnx_model export_optimized_onnx_model export_static_quantized_openvino_model",
        ),
    },
)

GROUPS = {
    "modules": _MODULES,
    "losses": _LOSSES,
    "evaluation": _EVALUATION,
    "readers": _READERS,
    "datasets": _DATASETS,
    "util": _UTIL,
    "trainer": _TRAINER,
    "model": _MODEL,
    "package": _PACKAGE,
}


def _paths() -> dict[str, str]:
    """Return the group of each path, relative to `tercet`."""
    paths = {
        "": "package",
        "sentence_transformer": "package",
        "base": "package",
        "SentenceTransformer": "model",
        "LoggingHandler": "util",
    }
    folders = {
        "modules": ("models", "sentence_transformer.modules", "base.modules"),
        "losses": ("losses", "sentence_transformer.losses", "base.losses"),
        "evaluation": ("evaluation", "sentence_transformer.evaluation", "base.evaluation"),
        "readers": ("readers", "sentence_transformer.readers"),
        "datasets": ("datasets", "sentence_transformer.datasets"),
        "util": ("util",),
    }
    files = {
        "modules": "dense normalize pooling transformer module",
        "losses": "batch_all_triplet batch_hard_triplet batch_hard_soft_margin_triplet batch_semi_hard_triplet triplet",
        "evaluation": "triplet sequential evaluator",
        "readers": "input_example",
        "datasets": "sentence_label sentences",
        "util": "similarity quantization retrieval tensor misc logging",
    }
    for group, places in folders.items():
        paths |= dict.fromkeys(places, group)
        for place in places:
            old_paths = () if "." in place else (*GROUPS[group].names, *GROUPS[group].absent)
            paths |= _below(place, [*files[group].split(), *filter(_is_class, old_paths)], group)
    for group, names in {
        "trainer": "trainer training_args data_collator sampler peft_mixin",
        "model": "model model_card",
        "util": "quantization similarity_functions",
    }.items():
        for place in ("", "sentence_transformer", "base"):
            paths |= _below(place, names.split(), group)
    return paths


def _below(place: str, names: Iterable[str], group: str) -> dict[str, str]:
    return {f"{place}.{name}".removeprefix("."): group for name in names}


def _is_class(name: str) -> bool:
    """Return whether a name is that of a class. Old versions had a file for each class, of the same name."""
    return name[0].isupper()


PATHS = _paths()
ABSENT_PATHS = {
    "cross_encoder": "a CrossEncoder is another kind of model; import it from sentence_transformers",
    "sparse_encoder": "a SparseEncoder is another kind of model; import it from sentence_transformers",
    "multi_vector_encoder": "a MultiVectorEncoder is another kind of model; import it from sentence_transformers",
    "backend": "models run on PyTorch; load the saved folder with sentence_transformers to export it",
}
