"""Does an idea of a paper help? Each model with and without it, from the same weights, over several seeds.

    facerefs sample PEOPLE --identities 110 --per-identity 5
    facerefs build PEOPLE --out SET --labels trust --set shard.val_share=0.44 --set shard.test_share=0
    python -m benchmarks.ablations SET --seeds 10 --models posevaried
    python -m benchmarks.ablations SET --seeds 3 --models rdfr --arms shape.quantise=false shape.codes=1024

An arm is a model with some settings changed. With the same seed, all arms of a model start from the same weights
wherever these have the same name and shape, see the same faces in the same order with the same degradations, and are
judged on the same held-out faces. So the arms are compared seed by seed (`seeds.py`: interval and verdict).

Each finished training stays in OUT and is not repeated: more seeds, another `--budget-minutes` or a larger machine go
on from there. Models are `tiny`, with random initial weights, and an idea may need more steps or larger faces to pay: a
verdict holds for the size, steps and faces that the table names.
"""
