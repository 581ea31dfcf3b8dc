"""Kept voices: names of people by what they sound like, for recordings to come. An opt-in of the deployment.

    a job's speakers, jobs/<job>/voices.json  --dropscribe voices add-->  voices/<folder>.json  -->  later jobs

Embeddings are biometric data: nothing of this is stored unless `KEPT_VOICES` is on (docs/security.md, kept voices).
`model.py` is what is stored, `scope.py` which uploads have voices and whose, `store.py` the state bucket's objects.
"""
