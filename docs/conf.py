"""Settings of the documentation, which is built strictly: every warning is an error."""

import importlib
import pkgutil

import adjoint
import solvers


def packages_with_own_names(package):
    """Return the names of the packages in `package` that export more than it exports itself."""
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg]
    modules = [importlib.import_module(f".{name}", package.__name__) for name in names]
    own = [set(module.__all__) - set(package.__all__) for module in modules]
    return [name for name, is_own in zip(names, own, strict=True) if is_own]


project = "adjoint"
author = "The adjoint developers"
copyright = author
release = version = adjoint.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"adjoint {release}"

# Docstrings put code and names in single backticks.
default_role = "code"
add_module_names = False
autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints_format = "short"
autosummary_ignore_module_all = False
autosummary_context = {"packages": {"solvers": packages_with_own_names(solvers)}}
# PyTorch is in the other environment: its modules are read, not run.
autodoc_mock_imports = ["torch"]
numpydoc_show_class_members = False
python_use_unqualified_type_names = True

# Some public names have two pages, of `adjoint` and of a package: a link may go to either.
suppress_warnings = ["ref.python"]

PUBLIC_MODULES = (
    r"adjoint\.(schedules\.actions|simulation\.replay|storage\.engines)|solvers\.petsc\.problems"
)

# Nothing is looked up on the network, so names of other projects cannot be resolved.
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(abc|collections|enum|h5py|matplotlib|mpi4py|numpy|numba|os|pathlib|scipy|types|typing)\b.*",
    ),
    (r"py:.*", r"(dolfinx|jax|petsc4py|torch|ufl)\b.*"),
    # Type aliases and unparenthesised generics of annotations that autodoc leaves as text.
    (r"py:class", r"(NDArray|ArrayLike|Any|Arrays|EngineFactory|Path|Self)"),
    (r"py:obj", r"adjoint\.steppers\.scratch\.S"),
    (r"py:class", r"list\[~collections\.abc\.Mapping\[str"),
    # Classes of private modules, which have no page, in signatures: those of any other module in a
    # package.
    (r"py:class", rf"(?!({PUBLIC_MODULES})\.\w+$)(adjoint|solvers)\.\w+\.\w+\.[\w.]+"),
    (r"py:class", r"adjoint\.closing\.Closing"),
    (r"py:class", r"solvers\.observations\.Observations"),
]
