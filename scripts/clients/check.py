"""Asks for every case with a client that a generator made for Python, and prints the typed values.

Run by scripts/check-clients: check.py GENERATOR CASES URL. A case is a line: key, id, region or "-".
"""

import sys
import urllib.error
import urllib.request


def openapi_generator(url, key, id, region):
    import openapi_client

    # Otherwise it retries 429 and 503 by itself.
    configuration = openapi_client.Configuration(host=url, access_token=key, retries=False)
    api = openapi_client.VerificationApi(openapi_client.ApiClient(configuration))
    try:
        return 200, api.get_verification(id, region=region)
    except openapi_client.ApiException as failure:
        assert isinstance(failure.data, openapi_client.Problem), failure
        return failure.status, failure.data


def openapi_python_client(url, key, id, region):
    from openapi_python_client_made import AuthenticatedClient
    from openapi_python_client_made.api.verification import get_verification
    from openapi_python_client_made.types import UNSET

    client = AuthenticatedClient(base_url=url, token=key)
    response = get_verification.sync_detailed(id, client=client, region=region or UNSET)
    return response.status_code.value, response.parsed


def datamodel_code_generator(url, key, id, region):
    import datamodel_code_generator_made as models

    target = f"{url}/idv/{id}" + (f"?region={region}" if region else "")
    request = urllib.request.Request(target, headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request) as response:
            return 200, models.Verification.model_validate_json(response.read())
    except urllib.error.HTTPError as failure:
        return failure.code, models.Problem.model_validate_json(failure.read())


def member(value, name):
    """A member by its name in the document: some generators write it in snake case."""
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return getattr(value, name if hasattr(value, name) else snake)


def show(status, it):
    if type(it).__name__ == "Problem":
        return f"{status} {it.code} {str(it.retryable).lower()}"
    assert type(it).__name__ == "Verification", it
    reason = f"{it.reason.code},{str(member(it.reason, 'userCanRetry')).lower()}" if it.reason else "-"
    face = it.checks.face.result.value if it.checks and it.checks.face and it.checks.face.result else "-"
    birth_date = (it.identity and member(it.identity, "birthDate")) or "-"
    kind = it.media[0].kind if it.media else "-"
    return f"{status} {it.status.value} {str(it.final).lower()} {reason} {face} {birth_date} {kind}"


generator, cases, url = sys.argv[1:]
for line in open(cases):
    key, id, region = line.split()
    print(show(*globals()[generator](url, key, id, None if region == "-" else region)))
