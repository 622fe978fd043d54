"""What applications of OpenSearch's Kendra Intelligent Ranking plugin use of it.

section.py         reads the section `ext.search_configuration` of a search, and cuts it out
settings.py        reads the plugin's index settings in a request, and cuts them out
settings_file.py   stores the index settings in a file
settings_front.py  a front that takes the requests that change an index's settings
"""
