"""The commands of ``adjoint``, one a file: what may be asked, and how the answer is printed.

Each loads what it takes to answer only once it is asked: h5py and matplotlib are heavy.
"""
