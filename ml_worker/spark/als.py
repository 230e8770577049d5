"""ALS trained by Apache Spark, for events beyond one machine; what it makes is served, updated and carried like every other `als`."""

import csv
import math
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.functions import array_to_vector
from pyspark.ml.recommendation import ALS
from pyspark.mllib.linalg.distributed import RowMatrix
from pyspark.mllib.util import MLUtils
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812 (its name everywhere)

from ml_worker.recommenders.als import Als
from ml_worker.recommenders.base import Arrays, NothingToLearn, Progress
from ml_worker.recommenders.interactions import Interactions, InvalidInteractions

SCHEMA: Final = "user string, item string, weight double, time long"
"""The columns of the events: the weight as in `Interactions`, the time in seconds since the epoch."""

_BUCKETS: Final = 1024
"""Users are numbered bucket by bucket, so that no machine has to sort them all."""

_QUIET: Final = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
_LOCAL: Final = {
    # 200 by default: on one machine nearly all of the time would go into empty tasks.
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}


def open_session(master: str) -> SparkSession:
    """A session on a cluster, or on this machine for `local[…]`; what else a cluster needs stands in its `spark-defaults.conf`."""
    builder = SparkSession.builder.appName("marquee").master(master)
    for name, value in {**_QUIET, **(_LOCAL if master.startswith("local") else {})}.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def read_events(session: SparkSession, path: str) -> DataFrame:
    """Events of `SCHEMA` at any address Spark can read: Parquet by the names of its columns, everything else as CSV without a header."""
    if path.rstrip("/").endswith(".parquet"):
        return session.read.schema(SCHEMA).parquet(path)
    # What is no number is read as missing, and refused with the rest of what is incomplete.
    return session.read.csv(path, schema=SCHEMA, mode="PERMISSIVE", escape='"')


def write_events(interactions: Interactions, path: Path) -> None:
    """The interactions as CSV for `read_events`."""
    users, items = interactions.user_ids, interactions.item_ids
    columns = (interactions.users, interactions.items, interactions.weights, interactions.times)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            (users[user], items[item], weight, time)
            for user, item, weight, time in zip(*(column.tolist() for column in columns), strict=True)
        )


class _Totals(NamedTuple):
    """How many users and items have a pair, Σ confidence², and means over the liked pairs: of √(likes of its user · likes of its item),
    of the likes of its user, and of those of its item.
    """

    users: int
    items: int
    energy: float
    likes: float
    user_likes: float
    item_likes: float


class SparkAls(Als):
    """The model of `Als` with the same parameters, fitted where the events are.

    `fit` takes from `interactions` the vocabulary of items and the end of time: learnt are the events given to the constructor that
    happened no later than the last of the interactions, to items of the vocabulary. The interactions are those of the instance, so a
    slice held out from them is held out from the events too.

    What is not the same: pairs met without a verdict count here as never met, and Spark multiplies the regularization of a user or item
    by the number of its liked pairs (Zhou et al. 2008), where `implicit` takes it as it is.
    """

    libraries: ClassVar[tuple[str, ...]] = ("numpy", "pyspark", "scipy")

    def __init__(self, config: Als.Config | None = None, *, events: DataFrame) -> None:
        super().__init__(config)
        self._events = events

    def _fit(self, interactions: Interactions, progress: Progress) -> Arrays:
        progress(0.0, "Spark reads the events")
        pairs = _pairs(self._events, interactions).persist()
        try:
            totals = _sum_up(pairs, self.config.alpha)
            popularity = _popularity(pairs, len(interactions.item_ids))
            progress(0.2, f"Spark factorizes the likes of {totals.users:,} users and {totals.items:,} items")
            return {"popularity": popularity, **self._factorize(pairs, totals, len(interactions.item_ids))}
        finally:
            pairs.unpersist()

    def _factorize(self, pairs: DataFrame, totals: _Totals, items: int) -> Arrays:
        """One λ for users and items alike, as in `Als`.

        Spark's is regParam × likes. Between a user and an item only the product of both sides' counts (what the factors of one side lose in
        length those of the other gain), so that regParam is λ ÷ √(likes of the user · likes of the item), taken in the mean over the
        liked pairs. A mean over users and items would count the many that have few pairs, and press hard on the few that have most.
        Factors stretched by (likes of an item ÷ likes of a user)^¼ are those that the same λ on either side would give.
        """
        blocks = pairs.sparkSession.sparkContext.defaultParallelism
        regularization = self.config.regularization * (math.sqrt(totals.energy / totals.users) + math.sqrt(totals.energy / totals.items))
        trained = ALS(
            rank=self.config.factors,
            maxIter=self.config.iterations,
            regParam=regularization / totals.likes,
            implicitPrefs=True,
            alpha=self.config.alpha,
            seed=self.config.seed,
            numUserBlocks=blocks,
            numItemBlocks=blocks,
        ).fit(_ratings(pairs))
        stretch = (totals.item_likes / totals.user_likes) ** 0.25
        factors = np.zeros((items, self.config.factors), dtype=np.float32)
        for column, found in trained.itemFactors.collect():
            factors[column] = found
        return {
            "item_factors": (factors * stretch).astype(np.float32),
            "regularization": np.array(regularization, dtype=np.float32),
            "user_moment": (_moment(trained.userFactors) / stretch**2).astype(np.float32),
        }


def _pairs(events: DataFrame, interactions: Interactions) -> DataFrame:
    """A row for each user and column of an item: the sum of the weights and the greatest of them; NaN where an event is incomplete."""
    columns = events.sparkSession.createDataFrame([*enumerate(interactions.item_ids)], "column int, item string")
    is_whole = F.col("user").isNotNull() & F.col("time").isNotNull() & F.col("weight").isNotNull()
    return (
        events.filter(F.col("time").isNull() | (F.col("time") <= int(interactions.times.max())))
        .withColumn("weight", F.when(is_whole, F.col("weight")).otherwise(math.nan))
        .join(F.broadcast(columns), "item")
        .groupBy("user", "column")
        .agg(F.sum("weight").alias("weight"), F.max("weight").alias("strongest"))
    )


def _sum_up(pairs: DataFrame, alpha: float) -> _Totals:
    confidence = 1 + alpha * F.log2(1 + F.abs("weight"))
    is_liked = F.col("weight") > 0
    likes = {name: F.count_if(is_liked).over(Window.partitionBy(name)) for name in ("user", "column")}
    counted = pairs.withColumn("user_likes", likes["user"]).withColumn("item_likes", likes["column"])
    (found,) = counted.agg(
        F.countDistinct("user"),
        F.countDistinct("column"),
        F.sum(F.when(F.col("weight") != 0, confidence * confidence).otherwise(0.0)),
        F.avg(F.when(is_liked, F.sqrt(F.col("user_likes") * F.col("item_likes")))),
        F.avg(F.when(is_liked, F.col("user_likes"))),
        F.avg(F.when(is_liked, F.col("item_likes"))),
    ).collect()
    totals = _Totals(*found)
    if totals.energy is not None and not math.isfinite(totals.energy):
        raise InvalidInteractions("an event has no user, no time, or no finite weight")
    if not totals.likes:
        raise NothingToLearn("none of the events likes an item of the catalogue")
    return totals


def _popularity(pairs: DataFrame, items: int) -> NDArray[np.float32]:
    """As `Interactions.popularity`."""
    votes = F.greatest(F.least("weight", "strongest"), F.lit(0.0))
    popularity = np.zeros(items, dtype=np.float32)
    for column, count in pairs.groupBy("column").agg(F.sum(votes)).collect():
        popularity[column] = count
    return popularity


def _ratings(pairs: DataFrame) -> DataFrame:
    """What Spark makes the confidence 1 + alpha · log2(1 + |weight|) of, with the sign of the verdict."""
    rating = F.signum("weight") * F.log2(1 + F.abs("weight"))
    told = pairs.filter(F.col("weight") != 0).withColumn("rating", rating.cast("float"))
    return told.join(_numbers(pairs), "user").select(F.col("number").alias("user"), F.col("column").alias("item"), "rating")


def _numbers(pairs: DataFrame) -> DataFrame:
    """A number for each user, the same whenever Spark computes it again, and small: `ALS` takes 32 bits."""
    users = pairs.select("user").distinct().withColumn("bucket", F.pmod(F.xxhash64("user"), F.lit(_BUCKETS)))
    earlier = Window.orderBy("bucket").rowsBetween(Window.unboundedPreceding, -1)
    before = users.groupBy("bucket").count().select("bucket", F.coalesce(F.sum("count").over(earlier), F.lit(0)).alias("before"))
    placed = users.withColumn("place", F.row_number().over(Window.partitionBy("bucket").orderBy("user")) - 1)
    return placed.join(F.broadcast(before), "bucket").select("user", (F.col("before") + F.col("place")).cast("int").alias("number"))


def _moment(factors: DataFrame) -> NDArray[np.float64]:
    """The mean of x·xᵀ over the users [factors × factors], summed by Spark."""
    vectors = MLUtils.convertVectorColumnsFromML(factors.select(array_to_vector("features").alias("vector")), "vector")
    gram: Any = RowMatrix(vectors).computeGramianMatrix()
    summed: NDArray[np.float64] = gram.toArray()
    return summed / float(factors.count())
