"""A bi-encoder's student, which estimates the scores of passages that the model has not read yet.

      passages that the model reads --> lessons.py --> teacher.py --> teaching_process.py
                                                           |                 | a process
      texts --> estimating.py <-- student.py <-------------+            worker.py --> teaching.py

A student is a table of the word pieces of the model's own tokenizer. It learns the model's own
vectors of passages. It begins with the model's own vectors of single word pieces, so it is of use
beyond the language and subjects of these passages too.

  file                | what it is for
  --------------------+----------------------------------------------------------------------
  student.py          | the table, and a text's vector by it
  word_pieces.py      | cuts texts into word pieces quickly
  known_words.py      | remembers the pieces of words
  quick_table.py      | the table as searches use it: the vectors of many texts at once
  readings.py         | the model's own vectors of single word pieces, where a table begins
  teaching.py         | learns a table from lessons
  lessons.py          | a bounded random sample of the passages that the model has read
  table_files.py      | the table on disk
  worker.py           | teaches one student, in a process of its own
  teaching_process.py | runs that process
  estimating.py       | estimates, their memory, and their measured error
  teacher.py          | decides when to teach, and picks up tables of other processes
"""
