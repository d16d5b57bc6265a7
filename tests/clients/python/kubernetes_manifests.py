"""Checks Kubernetes manifests against the schemas of a release, strictly: kubernetes_manifests.py VERSION FILE...

Prints each resource as a line of JSON. A field that the schema does not know, a wrong type, a missing field and a key that
is there twice are faults: a line each on standard error, and a non-zero exit. Resources of kustomize and of the Prometheus operator
have no schema here: their keys are only looked at for doubles.
"""
import json
import sys

import kubernetes_validate
import yaml
from kubernetes_validate.utils import SchemaNotFoundError, VersionNotSupportedError


WITHOUT_SCHEMA = ("kustomize.config.k8s.io/", "monitoring.coreos.com/")


class Loader(yaml.SafeLoader):
    """Takes no key twice, which YAML's own loader lets pass."""


def mapping(loader, node):
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.constructor.ConstructorError(None, None, f"twice: {', '.join(sorted(twice))}", node.start_mark)
    return loader.construct_mapping(node, deep=True)


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def check(path, version):
    with open(path, encoding="utf-8") as file:
        resources = list(yaml.load_all(file, Loader))
    for resource in resources:
        if not resource["apiVersion"].startswith(WITHOUT_SCHEMA):
            kubernetes_validate.validate(resource, version, strict=True)
        print(json.dumps({"file": path, "resource": resource}))


def main():
    version, paths = sys.argv[1], sys.argv[2:]
    faults = 0
    for path in paths:
        try:
            check(path, version)
        except yaml.YAMLError as error:
            faults += 1
            print(f"{path}: {error}", file=sys.stderr)
        except kubernetes_validate.ValidationError as error:
            faults += 1
            where = ".".join(str(part) for part in error.absolute_path)
            print(f"{path}: {where}: {error.message}", file=sys.stderr)
        except (SchemaNotFoundError, VersionNotSupportedError) as error:
            faults += 1
            print(f"{path}: {error.message}", file=sys.stderr)
    sys.exit(1 if faults else 0)


main()
